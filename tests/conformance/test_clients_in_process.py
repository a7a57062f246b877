"""The protocol's own clients, unmodified, against the handler alone: every datatype and form, and what they may do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import kserve
import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto
from tritonclient.utils import InferenceServerException

from tests.conformance.loopback import Api, listening
from tests.runtime.conftest import ONNX_TYPES, Serve
from tests.support import events, models

Array = np.ndarray[Any, Any]
NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,
}
SHAPES = [(3,), (2, 3), (), (0,), (2, 0)]
SOURCES = [events.http_api, events.rest_api]


def sample(datatype: str, shape: tuple[int, ...]) -> Array:
    """Values to the edges of the type: the smallest, the largest, NaN and the infinities among them."""
    count = int(np.prod(shape))
    if datatype == "BYTES":
        array = np.empty(count, dtype=object)
        array[:] = [["é\0nul".encode(), b"", "\U0001f600 \u202e".encode()][index % 3] for index in range(count)]
        return array.reshape(shape)
    kind = np.dtype(NUMPY[datatype])
    if datatype == "BOOL":
        edges: Any = [True, False]
    elif datatype.startswith(("FP", "BF")):
        limits = ml_dtypes.finfo(kind)
        edges = [limits.max, -0.0, np.nan, np.inf, -np.inf, limits.smallest_subnormal]
    else:
        edges = [np.iinfo(kind).max, np.iinfo(kind).min, 1]
    return np.resize(np.array(edges, kind), count).reshape(shape)


def same(left: Any, right: Array) -> bool:
    """The same to the bit, but for a NaN's."""
    if left.shape != right.shape:
        return False
    if right.dtype == object:
        return [one if isinstance(one, bytes) else str(one).encode() for one in left.ravel()] == list(right.ravel())
    if right.dtype.kind in "fV":
        left, right = np.asarray(left, np.float64), right.astype(np.float64)
        number = ~np.isnan(right)
        return np.array_equal(np.isnan(left), ~number) and left[number].tobytes() == right[number].tobytes()
    return left.dtype == right.dtype and np.array_equal(left, right)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> events.Builder:
    builder: events.Builder = request.param
    return builder


@pytest.fixture
def matrix(serve: Serve, source: events.Builder) -> Iterator[Api]:
    with listening(serve(models.matmul(), source=source)) as api:
        yield api


@pytest.fixture
def echo(serve: Serve, source: events.Builder) -> Iterator[Api]:
    with listening(serve(models.identity(), source=source)) as api:
        yield api


def tensor(name: str, datatype: str, array: Array, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


ROWS = np.array([[1, 2, 3, 4]], np.float32)
PRODUCT = np.array([[60, 70, 80]], np.float32)


@pytest.mark.parametrize("datatype", sorted(ONNX_TYPES))
def test_triton_every_datatype(serve: Serve, datatype: str) -> None:
    for shape in SHAPES:
        served = serve(models.identity(ONNX_TYPES[datatype], [f"d{index}" for index in range(len(shape))]))
        array = sample(datatype, shape)
        with listening(served) as api, triton.InferenceServerClient(api.address) as client:
            for binary_in in (True, False):
                for binary_out in (True, False):
                    if datatype == "BF16" and not (binary_in and binary_out):
                        continue  # the client sends BF16 in binary alone, and reads it in binary alone
                    sent = [tensor("x", datatype, array, binary_in)]
                    wanted = [triton.InferRequestedOutput("y", binary_data=binary_out)]
                    got = client.infer("model", sent, outputs=wanted).as_numpy("y")
                    assert same(got, array), (shape, binary_in, binary_out, got)


class Direct(httpx.AsyncBaseTransport):
    """Carries a request of httpx's into an event, without a socket."""

    def __init__(self, served: Any) -> None:
        self._served = served

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        status, headers, content = self._served.request(
            request.method, request.url.raw_path.decode(), body, dict(request.headers)
        )
        return httpx.Response(status, headers=headers, content=content)


def by_kserve(served: Any, sent: list[kserve.InferInput], **members: Any) -> kserve.InferResponse:
    async def ask() -> kserve.InferResponse:
        config = kserve.RESTConfig(protocol="v2", transport=Direct(served), retries=0)
        async with kserve.InferenceRESTClient(config) as client:
            request = kserve.InferRequest("model", sent, **members)
            answer: kserve.InferResponse = await client.infer("http://model.test", request, model_name="model")
            return answer

    return asyncio.run(ask())


@pytest.mark.parametrize("datatype", sorted(ONNX_TYPES.keys() - {"BF16"}))  # which the client does not have
def test_kserve_every_datatype(serve: Serve, datatype: str) -> None:
    for shape in SHAPES:
        served = serve(models.identity(ONNX_TYPES[datatype], [f"d{index}" for index in range(len(shape))]))
        array = sample(datatype, shape)
        for binary_in in (True, False):
            for binary_out in (True, False):
                if datatype == "FP16" and not (binary_in and binary_out):
                    continue  # the client refuses FP16 in JSON
                # In JSON it can neither write nor read NaN and the infinities: orjson has no form for them.
                finite = np.asarray(np.nan_to_num(array)) if datatype in ("FP32", "FP64") else array
                value = array if binary_in and binary_out else finite
                made = kserve.InferInput("x", list(shape), datatype)
                made.set_data_from_numpy(value, binary_data=binary_in)
                answer = by_kserve(served, [made], parameters={"binary_data_output": binary_out})
                assert same(answer.outputs[0].as_numpy(), value), (shape, binary_in, binary_out)


def test_kserve_reads_no_nan_in_json(serve: Serve) -> None:
    served = serve(models.identity())
    made = kserve.InferInput("x", [1], "FP32")
    made.set_data_from_numpy(np.array([np.nan], np.float32), binary_data=True)
    with pytest.raises(kserve.errors.InvalidInput, match="unexpected character"):
        by_kserve(served, [made], parameters={"binary_data_output": False})
    assert np.isnan(by_kserve(served, [made], parameters={"binary_data_output": True}).outputs[0].as_numpy())
    made.set_data_from_numpy(np.array([np.nan], np.float32), binary_data=False)
    with pytest.raises(httpx.HTTPStatusError, match="data holds null"):  # which is what it writes for one
        by_kserve(served, [made])


def test_kserve_health_and_errors(serve: Serve) -> None:
    served = serve(models.matmul())

    async def ask() -> None:
        config = kserve.RESTConfig(protocol="v2", transport=Direct(served), retries=0)
        async with kserve.InferenceRESTClient(config) as client:
            assert await client.is_server_live("http://model.test") is True
            assert await client.is_server_ready("http://model.test") is True
            assert await client.is_model_ready("http://model.test", "model") is True
            wrong = kserve.InferInput("x", [1, 3], "FP32", [1, 2, 3])
            with pytest.raises(httpx.HTTPStatusError, match="the model takes") as caught:
                await client.infer("http://model.test", kserve.InferRequest("model", [wrong]), model_name="model")
            assert caught.value.response.status_code == 400

    asyncio.run(ask())


@pytest.mark.parametrize("request_algorithm", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_algorithm", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_compressed(
    echo: Api, request_algorithm: str | None, response_algorithm: str | None, binary: bool
) -> None:
    array = np.arange(2000, dtype=np.float32)
    with triton.InferenceServerClient(echo.address) as client:
        answer = client.infer(
            "model",
            [tensor("x", "FP32", array, binary)],
            outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
            request_compression_algorithm=request_algorithm,
            response_compression_algorithm=response_algorithm,
        )
    assert same(answer.as_numpy("y"), array)
    assert echo.requests[-1].get("content-encoding") == request_algorithm
    assert echo.requests[-1].get("accept-encoding") == response_algorithm


def test_triton_sixteen_at_once(matrix: Api) -> None:
    with triton.InferenceServerClient(matrix.address, concurrency=16) as client:
        asked = [
            client.async_infer("model", [tensor("x", "FP32", ROWS * number)], request_id=str(number))
            for number in range(64)
        ]
        for number, pending in enumerate(asked):
            answer = pending.get_result()
            assert answer.get_response()["id"] == str(number)
            assert same(answer.as_numpy("y"), PRODUCT * number)


def test_triton_one_connection_many_requests(matrix: Api) -> None:
    with triton.InferenceServerClient(matrix.address) as client:
        for number in range(50):
            sent = [tensor("x", "FP32", np.repeat(ROWS, number, axis=0))]
            assert client.infer("model", sent).as_numpy("y").shape == (number, 3)
        with pytest.raises(InferenceServerException):
            client.infer("model", [tensor("z", "FP32", ROWS)])
        assert same(client.infer("model", [tensor("x", "FP32", ROWS)]).as_numpy("y"), PRODUCT)


def test_triton_a_tensor_as_large_as_lambda_carries(echo: Api) -> None:
    with triton.InferenceServerClient(echo.address) as client:
        array = np.random.default_rng(1).random(1_125_000, np.float32)
        assert same(client.infer("model", [tensor("x", "FP32", array)]).as_numpy("y"), array)
        with pytest.raises(InferenceServerException, match="ask for fewer") as caught:
            client.infer("model", [tensor("x", "FP32", np.random.default_rng(1).random(1_200_000, np.float32))])
        assert caught.value.status() == "413"


@pytest.mark.parametrize("base", ["", "/prod", "/a/deep/base", "/v2", "/models"])
def test_triton_base_paths(matrix: Api, base: str) -> None:
    with triton.InferenceServerClient(matrix.address + base) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("model")
        assert client.is_model_ready("model", "1")
        assert not client.is_model_ready("model", "2")
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["name"] == "cdk-onnx-inference"
        assert client.get_model_metadata("model", "1")["inputs"][0]["shape"] == [-1, 4]
        assert same(client.infer("model", [tensor("x", "FP32", ROWS)], model_version="1").as_numpy("y"), PRODUCT)


def test_triton_parameters_and_other_members(matrix: Api) -> None:
    with triton.InferenceServerClient(matrix.address) as client:
        answer = client.infer(
            "model",
            [tensor("x", "FP32", ROWS)],
            request_id="é\n",
            priority=3,
            timeout=1000,
            headers={"X-Anything": "1"},
            query_params={"any": "thing"},
            parameters={"mine": "own", "number": 3},
        )
        assert answer.get_response()["id"] == "é\n"
        assert same(answer.as_numpy("y"), PRODUCT)


def test_triton_a_sequence_is_ignored_as_any_parameter(matrix: Api) -> None:
    with triton.InferenceServerClient(matrix.address) as client:
        sent = [tensor("x", "FP32", ROWS)]
        answer = client.infer("model", sent, sequence_id=7, sequence_start=True, sequence_end=True)
        assert same(answer.as_numpy("y"), PRODUCT)


def test_triton_generated_bodies_without_a_server(matrix: Api) -> None:
    sent = [tensor("x", "FP32", ROWS)]
    body, length = triton.InferenceServerClient.generate_request_body(sent)
    status, headers, answer = matrix.served.request(
        "POST", "/v2/models/model/infer", body, {"Inference-Header-Content-Length": str(length)}
    )
    assert status == 200
    parsed = triton.InferenceServerClient.parse_response_body(
        answer, header_length=int(headers["inference-header-content-length"])
    )
    assert same(parsed.as_numpy("y"), PRODUCT)


WRONG: list[tuple[str, Any, str, str]] = [
    ("unknown model", lambda: ("other", tensor("x", "FP32", ROWS), {}), "404", "unknown model: 'other'"),
    ("unknown version", lambda: ("model", tensor("x", "FP32", ROWS), {"model_version": "9"}), "404", "version '9'"),
    ("wrong datatype", lambda: ("model", tensor("x", "INT64", ROWS.astype(np.int64)), {}), "400", "takes FP32"),
    ("wrong shape", lambda: ("model", tensor("x", "FP32", ROWS[:, :3]), {}), "400", "takes [-1, 4]"),
    ("wrong rank", lambda: ("model", tensor("x", "FP32", ROWS[0]), {}), "400", "takes [-1, 4]"),
    ("wrong input", lambda: ("model", tensor("z", "FP32", ROWS), {}), "400", "'z' is not one of"),
    (
        "wrong output",
        lambda: ("model", tensor("x", "FP32", ROWS), {"outputs": [triton.InferRequestedOutput("z")]}),
        "400",
        "output 'z' is not one of",
    ),
    (
        "classification",
        lambda: (
            "model",
            tensor("x", "FP32", ROWS),
            {"outputs": [triton.InferRequestedOutput("y", class_count=2)]},
        ),
        "400",
        "classification extension is not served",
    ),
]


@pytest.mark.parametrize(("make", "status", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_triton_errors(matrix: Api, make: Any, status: str, says: str) -> None:
    model, sent, members = make()
    with triton.InferenceServerClient(matrix.address) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer(model, [sent], **members)
        assert (caught.value.status(), says in caught.value.message()) == (status, True)
        with pytest.raises(InferenceServerException) as caught:
            client.async_infer(model, [sent], **members).get_result()
        assert caught.value.status() == status


def test_triton_shared_memory_is_refused(matrix: Api) -> None:
    made = triton.InferInput("x", [1, 4], "FP32")
    made.set_shared_memory("region", 16)
    with triton.InferenceServerClient(matrix.address) as client:
        with pytest.raises(InferenceServerException, match="shared memory") as caught:
            client.infer("model", [made])
        assert caught.value.status() == "400"


def test_triton_what_is_not_served(matrix: Api) -> None:
    with triton.InferenceServerClient(matrix.address) as client:
        for ask in (
            lambda: client.get_model_config("model"),
            client.get_model_repository_index,
            lambda: client.load_model("model"),
            client.get_inference_statistics,
            client.get_system_shared_memory_status,
        ):
            with pytest.raises(InferenceServerException, match=r"no route|unknown model") as caught:
                ask()
            assert caught.value.status() == "404"


def test_triton_a_model_that_did_not_load(serve: Serve) -> None:
    with listening(serve(None, MODEL_PATH="nothing")) as api, triton.InferenceServerClient(api.address) as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("model")
        with pytest.raises(InferenceServerException, match="there is no model at") as caught:
            client.infer("model", [tensor("x", "FP32", ROWS)])
        assert caught.value.status() == "503"


def test_triton_strings_by_json_and_binary_are_alike(serve: Serve) -> None:
    served = serve(models.identity(TensorProto.STRING))
    texts = np.array(["é", "\0", "a\0b", "", "\u2028", '"\\', "x" * 100_000], dtype=object)
    with listening(served) as api, triton.InferenceServerClient(api.address) as client:
        for binary_in in (True, False):
            for binary_out in (True, False):
                answer = client.infer(
                    "model",
                    [tensor("x", "BYTES", texts, binary_in)],
                    outputs=[triton.InferRequestedOutput("y", binary_data=binary_out)],
                ).as_numpy("y")
                got = [one.decode() if isinstance(one, bytes) else one for one in answer]
                assert got == list(texts)
        with pytest.raises(InferenceServerException, match="not UTF-8"):
            client.infer("model", [tensor("x", "BYTES", np.array([b"\xff"], dtype=object))])


def test_no_request_of_tritons_has_a_content_type(matrix: Api) -> None:
    # Which is why nothing here may depend on it: an HTTP API then passes even JSON on in base64.
    with triton.InferenceServerClient(matrix.address) as client:
        client.infer("model", [tensor("x", "FP32", ROWS, binary=False)])
    assert "content-type" not in matrix.requests[-1]
