"""Answers against the Open Inference Protocol's own schemas.

Transcribed from `specification/protocol/open_inference_rest.yaml` of kserve/open-inference-protocol (commit 18d5991,
Apache-2.0): its `components.schemas`, in the same words, without titles and examples.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnx_handler.protocol.open_inference import ROUTES
from tests.runtime.conftest import Serve
from tests.support import models

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
ERROR: Schema = {"type": "object", "properties": {"error": STRING}, "required": ["error"]}
PARAMETERS: Schema = {"type": "object"}
SHAPE: Schema = {"type": "array", "items": {"type": "integer"}}
TENSOR_DATA: Schema = {"type": "array"}
TENSOR_DATA["items"] = {"anyOf": [TENSOR_DATA, {"type": "number"}, STRING, {"type": "boolean"}]}
METADATA_SERVER_RESPONSE: Schema = {
    "type": "object",
    "properties": {"name": STRING, "version": STRING, "extensions": {"type": "array", "items": STRING}},
    "required": ["name", "version", "extensions"],
}
METADATA_TENSOR: Schema = {
    "type": "object",
    "properties": {"name": STRING, "datatype": STRING, "shape": SHAPE},
    "required": ["name", "datatype", "shape"],
}
METADATA_MODEL_RESPONSE: Schema = {
    "type": "object",
    "properties": {
        "name": STRING,
        "versions": {"type": "array", "items": STRING},
        "platform": STRING,
        "inputs": {"type": "array", "items": METADATA_TENSOR},
        "outputs": {"type": "array", "items": METADATA_TENSOR},
    },
    "required": ["name", "platform"],
}
# request_input and response_output are the same but for their names.
TENSOR: Schema = {
    "type": "object",
    "properties": {
        "name": STRING,
        "shape": SHAPE,
        "datatype": STRING,
        "parameters": PARAMETERS,
        "data": TENSOR_DATA,
    },
    "required": ["name", "shape", "datatype", "data"],
}
INFERENCE_REQUEST: Schema = {
    "type": "object",
    "properties": {
        "id": STRING,
        "parameters": PARAMETERS,
        "inputs": {"type": "array", "items": TENSOR},
        "outputs": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": STRING, "parameters": PARAMETERS}, "required": ["name"]},
        },
    },
    "required": ["inputs"],
}
INFERENCE_RESPONSE: Schema = {
    "type": "object",
    "properties": {
        "model_name": STRING,
        "model_version": STRING,
        "id": STRING,
        "parameters": PARAMETERS,
        "outputs": {"type": "array", "items": TENSOR},
    },
    "required": ["model_name", "outputs"],
}
KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}


def problems(value: Any, schema: Schema, at: str = "$") -> list[str]:
    """Where a value does not follow the schema. Only the keywords that these schemas use are known."""
    if "anyOf" in schema:
        found = [problems(value, option, at) for option in schema["anyOf"]]
        return [] if [] in found else [f"{at}: none of the alternatives"]
    kind = schema["type"]
    if kind in ("integer", "number"):
        numbers = (int,) if kind == "integer" else (int, float)
        return [] if type(value) in numbers else [f"{at}: {value!r} is no {kind}"]
    if not isinstance(value, KINDS[kind]):
        return [f"{at}: {value!r} is no {kind}"]
    if kind == "array":
        return [one for index, item in enumerate(value) for one in problems(item, schema["items"], f"{at}[{index}]")]
    if kind == "object":
        missing = [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
        known = schema.get("properties", {})
        return missing + [
            one for name in value if name in known for one in problems(value[name], known[name], f"{at}.{name}")
        ]
    return []


def unknown(value: dict[str, Any], schema: Schema) -> set[str]:
    """Members that the schema does not name."""
    return set(value) - set(schema["properties"])


FINE = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
REQUESTS: list[Any] = [
    {"inputs": [FINE]},
    {"id": "42", "inputs": [FINE], "outputs": [{"name": "y"}]},
    {"id": "", "inputs": [{**FINE, "data": [[1, 2, 3, 4]]}], "parameters": {"any": 1}},
    {"inputs": [{**FINE, "shape": [0, 4], "data": []}]},
]


@pytest.mark.parametrize("document", REQUESTS)
def test_inference(serve: Serve, document: Any) -> None:
    assert problems(document, INFERENCE_REQUEST) == []
    status, answer = serve(models.matmul()).infer(document)
    assert status == 200
    assert problems(answer, INFERENCE_RESPONSE) == []
    assert unknown(answer, INFERENCE_RESPONSE) == set()
    for output in answer["outputs"]:
        assert unknown(output, TENSOR) == set()
        assert len(output["data"]) == np.prod(output["shape"])


def test_the_specifications_own_example(serve: Serve) -> None:
    # "Example 1" of inference_request has a UINT32 [2, 2] and a BOOL [3] input, for which it sends one value.
    node = helper.make_node
    made = models.model(
        [
            node("Cast", ["input0"], ["numbers"], to=TensorProto.INT64),
            node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
            node("Cast", ["input1"], ["bits"], to=TensorProto.INT64),
            node("Add", ["bits", "sum"], ["total"]),
            node("Cast", ["total"], ["output0"], to=TensorProto.UINT32),
        ],
        [models.tensor("input0", TensorProto.UINT32, [2, 2]), models.tensor("input1", TensorProto.BOOL, [3])],
        [models.tensor("output0", TensorProto.UINT32, [3])],
    )
    served = serve(made)
    request = {
        "id": "42",
        "inputs": [
            {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
            {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]},
        ],
        "outputs": [{"name": "output0"}],
    }
    status, answer = served.infer(request)
    assert (status, answer["error"]) == (400, "input 'input1': 1 values; shape [3] holds 3")
    request["inputs"][1]["data"] = [True, False, True]  # type: ignore[index]
    status, answer = served.infer(request)
    assert (status, answer["id"], answer["outputs"][0]["data"]) == (200, "42", [11, 10, 11])


def test_metadata(serve: Serve) -> None:
    served = serve(models.sum_and_difference())
    for path, schema in (
        ("/v2", METADATA_SERVER_RESPONSE),
        ("/v2/", METADATA_SERVER_RESPONSE),
        ("/v2/models/model", METADATA_MODEL_RESPONSE),
        ("/v2/models/model/versions/1", METADATA_MODEL_RESPONSE),
    ):
        status, answer = served.get(path)
        assert (status, problems(answer, schema), unknown(answer, schema)) == (200, [], set())


@pytest.mark.parametrize("document", [3, {}, {"inputs": []}, {"inputs": [{**FINE, "datatype": "INT64"}]}])
def test_errors(serve: Serve, document: Any) -> None:
    status, answer = serve(models.matmul()).infer(document)
    assert (status, problems(answer, ERROR), unknown(answer, ERROR)) == (400, [], set())
    status, answer = serve(None).get("/v2/models/other")
    assert (status, problems(answer, ERROR), unknown(answer, ERROR)) == (404, [], set())


def test_every_path_of_the_specification_is_served(serve: Serve) -> None:
    # It lists the paths of a model with its version alone, and calls the version optional in the text.
    paths = ["/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/{model}/versions/{version}"]
    paths += ["/v2/models/{model}/versions/{version}/ready", "/v2/models/{model}/versions/{version}/infer"]
    assert set(paths) <= {template for _, template in ROUTES}


def test_health_as_the_specification_means_it(serve: Serve) -> None:
    # inference_rest.md gives the ready body as {"live": bool}, and the model's as {"name", "ready"}; the OpenAPI file
    # gives none. kserve's client reads `ready`, so both members are in both (kserve#3820).
    served = serve(models.matmul())
    assert served.get("/v2/health/live")[1].items() >= {"live": True}.items()
    assert served.get("/v2/health/ready")[1].items() >= {"live": True, "ready": True}.items()
    assert served.get("/v2/models/model/ready") == (200, {"name": "model", "ready": True})


def test_an_id_is_answered_where_one_was_sent(serve: Serve) -> None:
    # The text requires `id` of a response and calls it optional in a request; the OpenAPI file requires it of neither.
    served = serve(models.matmul())
    assert "id" not in served.infer({"inputs": [FINE]})[1]
    assert served.infer({"inputs": [FINE], "id": ""})[1]["id"] == ""


def test_a_binary_output_has_no_data_which_the_schema_requires(serve: Serve) -> None:
    # The binary tensor data extension replaces `data` by the parameter; its requests are no instance of the schema.
    served = serve(models.matmul())
    status, headers, body = served.infer_binary({"x": ("FP32", np.ones((1, 4), np.float32))})
    document = json.loads(body[: int(headers["inference-header-content-length"])])
    assert status == 200
    assert problems(document, INFERENCE_RESPONSE) == ["$.outputs[0]: data is missing"]
    assert document["outputs"][0]["parameters"] == {"binary_data_size": 12}


def test_numbers_that_json_has_no_form_for(serve: Serve) -> None:
    # RFC 8259 has no NaN; the specification does not say. Python's, JavaScript's JSON5 and RapidJSON's readers take
    # these literals, and null, the alternative, is no member of tensor_data.
    served = serve(models.identity())
    data = [float("nan"), float("inf"), -float("inf"), -0.0]
    sent = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "data": data}]}).encode()
    status, _, body = served.request("POST", "/v2/models/model/infer", sent)
    assert status == 200
    assert b'"data":[NaN,Infinity,-Infinity,-0.0]' in body
