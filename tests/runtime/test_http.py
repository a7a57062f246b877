"""The handler, whole: events in, answers out, on real models."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from onnx_handler.http import Handler
from onnx_handler.protocol.open_inference import ROUTES
from onnx_handler.tensors.codecs import RAW_TYPES, from_raw, widened
from tests.runtime.conftest import CONTEXT, ONNX_TYPES, Serve
from tests.support import events, models


def sample(datatype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    count = int(np.prod(shape))
    if datatype == "BYTES":
        array = np.empty(count, dtype=object)
        array[:] = [f"é\0{index}".encode() for index in range(count)]
        return array.reshape(shape)
    if datatype == "BF16":
        return widened(np.arange(0x3F80, 0x3F80 + count, dtype=np.uint16)).reshape(shape)
    return (np.arange(count) % 2 if datatype == "BOOL" else np.arange(count)).astype(RAW_TYPES[datatype]).reshape(shape)


def split(headers: dict[str, str], body: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """A binary answer's tensors."""
    offset = int(headers["inference-header-content-length"])
    arrays = {}
    for tensor in json.loads(body[:offset])["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        arrays[tensor["name"]] = from_raw(tensor["name"], tensor["datatype"], tensor["shape"], body, offset, size)
        offset += size
    assert offset == len(body)
    return arrays


@pytest.mark.parametrize("source", events.SOURCES)
def test_every_source_asks_and_is_answered(serve: Serve, source: events.Builder) -> None:
    served = serve(models.matmul(), source=source)
    assert served.get("/v2/health/live") == (200, {"live": True, "ready": True})
    assert served.get("/v2/health/ready") == (200, {"live": True, "ready": True})
    assert served.get("/v2/models/model/ready") == (200, {"name": "model", "ready": True})
    x = np.array([[1, 2, 3, 4]], np.float32)
    status, body = served.infer({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})
    assert (status, body["outputs"][0]["data"]) == (200, [60, 70, 80])
    if source not in (events.load_balancer, events.load_balancer_multi_value):
        status, headers, raw = served.infer_binary({"x": ("FP32", x)})
        assert status == 200
        assert np.array_equal(split(headers, raw)["y"], [[60, 70, 80]])


def test_metadata(serve: Serve) -> None:
    served = serve(models.matmul(), MODEL_NAME="digits", MODEL_VERSION="7")
    expected = {
        "name": "digits",
        "versions": ["7"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert served.get("/v2/models/digits") == (200, expected)
    assert served.get("/v2/models/digits/versions/7") == (200, expected)
    assert served.get("/v2/models/digits/versions/7/ready")[0] == 200
    assert served.get("/v2/models/digits/versions/8")[0] == 404
    assert served.get("/v2/models/other")[0] == 404
    status, server = served.get("/v2")
    assert status == 200
    assert server["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("datatype", sorted(ONNX_TYPES))
@pytest.mark.parametrize("shape", [(3,), (2, 3), (), (0,), (2, 0)])
def test_every_datatype_in_both_forms(serve: Serve, datatype: str, shape: tuple[int, ...]) -> None:
    dimensions = [f"d{index}" for index in range(len(shape))]
    served = serve(models.identity(ONNX_TYPES[datatype], dimensions))
    array = sample(datatype, shape)
    status, headers, body = served.infer_binary({"x": (datatype, array)})
    assert status == 200, body
    binary = split(headers, body)["y"]
    assert binary.shape == shape
    assert np.array_equal(binary, array)
    flat = [value.decode() for value in array.ravel()] if datatype == "BYTES" else array.ravel().tolist()
    given_json = {"inputs": [{"name": "x", "datatype": datatype, "shape": list(shape), "data": flat}]}
    status, answer = served.infer(given_json)
    assert status == 200, answer
    assert answer["outputs"] == [{"name": "y", "datatype": datatype, "shape": list(shape), "data": flat}]


def test_several_inputs_selected_outputs_id_and_version(serve: Serve) -> None:
    served = serve(models.sum_and_difference())
    one = {"datatype": "FP32", "shape": [2], "data": [3, 4]}
    document = {
        "id": "42",
        "inputs": [{"name": "a", **one}, {"name": "b", **one}],
        "outputs": [{"name": "difference"}],
        "parameters": {"anything": 1},
    }
    status, _, body = served.request("POST", "/v2/models/model/versions/1/infer", json.dumps(document).encode())
    assert status == 200
    assert json.loads(body) == {
        "model_name": "model",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "difference", "datatype": "FP32", "shape": [2], "data": [0.0, 0.0]}],
    }
    both = served.infer({**document, "outputs": [{"name": "difference"}, {"name": "sum"}]})[1]["outputs"]
    assert [output["name"] for output in both] == ["difference", "sum"]


def test_binary_and_json_may_be_mixed_in_both_directions(serve: Serve) -> None:
    served = serve(models.sum_and_difference())
    raw = np.array([1, 2], np.float32).tobytes()
    head = json.dumps(
        {
            "inputs": [
                {"name": "a", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
                {"name": "b", "datatype": "FP32", "shape": [2], "data": [5, 5]},
            ],
            "outputs": [{"name": "sum"}, {"name": "difference", "parameters": {"binary_data": True}}],
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, answered, body = served.request("POST", "/v2/models/model/infer", head + raw, headers)
    length = int(answered["inference-header-content-length"])
    outputs = json.loads(body[:length])["outputs"]
    assert status == 200
    assert outputs[0]["data"] == [6, 7]
    assert outputs[1]["parameters"] == {"binary_data_size": 8}
    assert np.frombuffer(body[length:], np.float32).tolist() == [-4, -3]


def test_a_raw_body_alone(serve: Serve) -> None:
    served = serve(models.matmul())
    raw = np.arange(8, dtype=np.float32)
    headers = {"Inference-Header-Content-Length": "0"}
    status, answered, body = served.request("POST", "/v2/models/model/infer", raw.tobytes(), headers)
    assert status == 200
    assert split(answered, body)["y"].shape == (2, 3)
    status, _, body = served.request("POST", "/v2/models/model/infer", b"12345", headers)
    assert (status, b"do not fill" in body) == (400, True)


def test_a_raw_body_that_is_one_string(serve: Serve) -> None:
    served = serve(models.identity(TensorProto.STRING))
    headers = {"Inference-Header-Content-Length": "0"}
    status, answered, body = served.request("POST", "/v2/models/model/infer", "é".encode(), headers)
    assert status == 200
    assert split(answered, body)["y"].tolist() == ["é".encode()]


def test_gzip_both_ways(serve: Serve) -> None:
    served = serve(models.identity())
    document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2000], "data": [0.5] * 2000}]}
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    body = gzip.compress(json.dumps(document).encode())
    status, answered, compressed = served.request("POST", "/v2/models/model/infer", body, headers)
    assert (status, answered["content-encoding"], answered["vary"]) == (200, "gzip", "Accept-Encoding")
    assert json.loads(gzip.decompress(compressed))["outputs"][0]["data"] == [0.5] * 2000
    status, answered, _ = served.request("POST", "/v2/models/model/infer", body, {"Content-Encoding": "gzip"})
    assert (status, "content-encoding" in answered) == (200, False)
    small = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    _, answered, _ = served.request(
        "POST", "/v2/models/model/infer", json.dumps(small).encode(), headers | {"Content-Encoding": ""}
    )
    assert "content-encoding" not in answered


def test_an_answer_past_lambdas_limit_is_a_413(serve: Serve) -> None:
    served = serve(models.repeated())
    document = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1], "data": [0.1]},
            {"name": "count", "datatype": "INT64", "shape": [1], "data": [2_000_000]},
        ]
    }
    status, body = served.infer(document)
    assert status == 413
    assert "gzip" in body["error"]
    status, headers, _ = served.request(
        "POST", "/v2/models/model/infer", json.dumps(document).encode(), {"Accept-Encoding": "gzip"}
    )
    assert (status, headers["content-encoding"]) == (200, "gzip")


def test_routes_and_methods(serve: Serve) -> None:
    served = serve(models.matmul())
    for method, template in ROUTES:
        path = template.format(model="model", version="1")
        wrong = "POST" if method == "GET" else "GET"
        status, headers, _ = served.request(wrong, path)
        assert (status, headers["allow"]) == (405, method)
        assert served.request(method, path)[0] in (200, 400)
    for path in ("/", "/v1", "/v2/models", "/v2/models//ready", "/v2/health", "/v2/models/model/infer/x", "/v2x"):
        assert served.get(path)[0] == 404, path


@pytest.mark.parametrize("base", ["", "/prod", "/a/b", "/v2", "/models/v2"])
def test_any_base_path(serve: Serve, base: str) -> None:
    served = serve(models.matmul(), MODEL_NAME="v2")
    assert served.get(f"{base}/v2/models/v2")[1]["name"] == "v2"
    assert served.get(f"{base}/v2/health/live")[0] == 200
    assert served.get(f"{base}/v2/")[1]["name"] == "cdk-onnx-inference"


def test_a_percent_encoded_name(serve: Serve) -> None:
    assert serve(models.matmul(), MODEL_NAME="digits_v1").get("/v2/models/digits%5Fv1")[0] == 200


FINE = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("text", "object is expected"),
        ({}, "inputs is not an array"),
        ({"inputs": {}}, "inputs is not an array"),
        ({"inputs": [1]}, "each with a name"),
        ({"inputs": []}, "input 'x' is missing"),
        ({"inputs": [FINE, FINE]}, "given twice"),
        ({"inputs": [{**FINE, "name": "z"}]}, "'z' is not one of the model's"),
        ({"inputs": [{**FINE, "datatype": "FLOAT"}]}, "allowed: "),
        ({"inputs": [{**FINE, "datatype": "INT64"}]}, "the model takes FP32"),
        ({"inputs": [{**FINE, "shape": [4]}]}, r"the model takes [-1, 4]"),
        ({"inputs": [{**FINE, "shape": [2, 2]}]}, r"the model takes [-1, 4]"),
        ({"inputs": [{**FINE, "shape": [-1, 4]}]}, "each 0 or more"),
        ({"inputs": [{**FINE, "shape": [True, 4]}]}, "each 0 or more"),
        ({"inputs": [{**FINE, "shape": None}]}, "each 0 or more"),
        ({"inputs": [{**FINE, "data": [1]}]}, "1 values"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]}, "neither data nor"),
        ({"inputs": [{**FINE, "parameters": {"binary_data_size": 16}}]}, "0 bytes are left"),
        ({"inputs": [{**FINE, "parameters": {"shared_memory_region": "r"}}]}, "shared memory"),
        ({"inputs": [{**FINE, "parameters": 3}]}, "an object is expected"),
        ({"inputs": [FINE], "outputs": [{"name": "z"}]}, "output 'z' is not one of"),
        ({"inputs": [FINE], "outputs": [{"name": "y"}, {"name": "y"}]}, "asked for twice"),
        ({"inputs": [FINE], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        ({"inputs": [FINE], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "true or false"),
        ({"inputs": [FINE], "parameters": {"binary_data_output": "yes"}}, "true or false"),
        ({"inputs": [FINE], "id": 3}, "a string is expected"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(serve: Serve, document: Any, says: str) -> None:
    status, body = serve(models.matmul()).infer(document)
    assert status == 400
    assert says in body["error"]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "999999", "", "0x10", "²"])
def test_a_wrong_header_length(serve: Serve, length: str) -> None:
    served = serve(models.matmul())
    status, _, body = served.request(
        "POST", "/v2/models/model/infer", b'{"inputs":[]}', {"Inference-Header-Content-Length": length}
    )
    assert status == 400, body


def test_bytes_that_belong_to_no_input(serve: Serve) -> None:
    head = json.dumps({"inputs": [FINE]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, _, body = serve(models.matmul()).request("POST", "/v2/models/model/infer", head + b"123", headers)
    assert (status, b"belong to no input" in body) == (400, True)


def test_deep_json_is_refused(serve: Serve) -> None:
    served = serve(models.matmul())
    for body in (
        b"[" * 100_000,
        b'{"inputs":' * 50_000,
        b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":' + b"[" * 900 + b"]" * 900 + b"}]}",
    ):
        status, _, answer = served.request("POST", "/v2/models/model/infer", body)
        assert status == 400, answer


def test_inputs_that_disagree_about_a_named_dimension(serve: Serve) -> None:
    served = serve(models.sum_and_difference())
    document = {
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [2], "data": [1, 2]},
            {"name": "b", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]},
        ]
    }
    status, body = served.infer(document)
    assert (status, body["error"]) == (400, "dimension 'n' is 2 in input 'a' and 3 in input 'b'")
    document["inputs"][0] |= {"shape": [1], "data": [1]}  # which the model itself broadcasts: not ours to refuse
    assert served.infer(document)[0] == 200


def test_an_input_of_unknown_rank_takes_any(serve: Serve) -> None:
    served = serve(models.identity(shape=None))
    for shape in ([], [1], [1, 1]):
        assert served.infer({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": [1]}]})[0] == 200


def test_a_string_that_is_not_utf8(serve: Serve) -> None:
    served = serve(models.identity(TensorProto.STRING))
    array = np.array([b"\xff"], dtype=object)
    status, _, body = served.infer_binary({"x": ("BYTES", array)})
    assert (status, b"not UTF-8" in body) == (400, True)


def test_a_bad_event_is_answered_not_raised(serve: Serve) -> None:
    served = serve(models.matmul())
    for event in ({}, None, [], "warm", {"Records": []}):
        assert served.handler.handle(event, CONTEXT)["statusCode"] == 400


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"", "cannot load"), (b"not a model", "cannot load"), (None, "there is no model at")],
)
def test_a_model_that_cannot_load_is_said_and_logged(
    serve: Serve, tmp_path: Any, caplog: pytest.LogCaptureFixture, content: bytes | None, cause: str
) -> None:
    (tmp_path / "model").mkdir()
    if content is not None:
        (tmp_path / "model" / "model.onnx").write_bytes(content)
    with caplog.at_level(logging.ERROR):
        served = serve(None)
    assert cause in caplog.text
    assert served.get("/v2/health/live") == (200, {"live": True, "ready": False})
    status, ready = served.get("/v2/health/ready")
    assert (status, ready["ready"]) == (503, False)
    assert cause in ready["error"]
    assert served.get("/v2/models/model/ready")[0] == 503
    assert served.get("/v2/models/model")[0] == 503
    status, body = served.infer({"inputs": []})
    assert status == 503
    assert cause in body["error"]


def test_an_environment_without_a_model_is_said_and_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(None, MODEL_PATH="")
    assert "MODEL_PATH is not set" in caplog.text
    assert "MODEL_PATH" in served.get("/v2/health/ready")[1]["error"]


def test_a_model_whose_outputs_the_protocol_cannot_carry(serve: Serve) -> None:
    from onnx import helper

    made = models.model(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        [models.tensor("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    assert "zipmap" in serve(made).get("/v2/health/ready")[1]["error"]


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handler]:
    """One handler for many examples: loading the model for each would take most of the time."""
    directory = models.save(models.matmul(), tmp_path_factory.mktemp("model"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_PATH", str(directory))
        yield Handler()


MEMBERS = [
    "version",
    "rawPath",
    "path",
    "httpMethod",
    "headers",
    "multiValueHeaders",
    "body",
    "isBase64Encoded",
    "requestContext",
]
MEMBER = (
    st.none()
    | st.text(max_size=5)
    | st.integers()
    | st.booleans()
    | st.dictionaries(st.sampled_from(["http", "method", "elb", "accept"]), st.text(max_size=3), max_size=2)
)


@given(st.dictionaries(st.sampled_from(MEMBERS), MEMBER))
def test_no_event_whatever_ends_in_an_exception(handler: Handler, event: dict[str, Any]) -> None:
    assert handler.handle(event, CONTEXT)["statusCode"] in (400, 404, 405)
