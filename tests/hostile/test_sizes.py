"""Small requests that grow: bodies that inflate, declared sizes, elements that take more memory than bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator

import pytest
from onnx import TensorProto

from onnx_handler.http import Handler
from onnx_handler.protocol.content_encoding import INFLATED_LIMIT
from onnx_handler.protocol.request_form import JSON_LIMIT, MOST_STRINGS
from tests.hostile.conftest import GOOD, Target
from tests.hostile.memory import at_most_more_memory
from tests.support import events, models

MIB = 2**20
GZIP = {"Content-Encoding": "gzip"}
# Memory that one request may take; the worst of them was measured to take 585 MiB.
MEMORY_OF_ONE_REQUEST = 900 * MIB


@pytest.fixture(scope="module")
def strings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = models.save(models.identity(TensorProto.STRING), tmp_path_factory.mktemp("model"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_PATH", str(directory))
        yield Target(Handler(), events.function_url)


def filled(unit: bytes, size: int, datatype: str = "FP32") -> bytes:
    """A request of `size` bytes, most of them `unit` again and again as data."""
    count = size // (len(unit) + 1) - 100
    head = b'{"inputs":[{"name":"x","datatype":"%s","shape":[%d],"data":[' % (datatype.encode(), count)
    return head + (unit + b",") * (count - 1) + unit + b"]}]}"


def framed(unit: bytes, count: int, shape: list[int]) -> tuple[bytes, dict[str, str]]:
    """A binary request of `count` strings."""
    raw = (len(unit).to_bytes(4, "little") + unit) * count
    tensor = {"name": "x", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_bomb(target: Target, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    for size in (INFLATED_LIMIT, INFLATED_LIMIT * 4):
        body = compress(bytes(size + 1))
        with at_most_more_memory(INFLATED_LIMIT * 4):
            status, said = target.refused(body, {"Content-Encoding": encoding})
        assert (status, "inflates past" in said) == (413, True)
    again = gzip.compress(gzip.compress(bytes(INFLATED_LIMIT * 4)))
    assert "not JSON" in target.refused(again, GZIP)[1]


@pytest.mark.parametrize("unit", [b"[[]]", b"{}", b"[1.5]", b"0"])
def test_json_that_takes_forty_times_its_length(target: Target, unit: bytes) -> None:
    body = gzip.compress(filled(unit, JSON_LIMIT), 1)
    with at_most_more_memory(MEMORY_OF_ONE_REQUEST):
        target.refused(body, GZIP)


def test_json_past_what_is_read(target: Target) -> None:
    for size in (JSON_LIMIT + 4096, INFLATED_LIMIT - 4096):
        body = gzip.compress(filled(b"[]", size), 1)
        with at_most_more_memory(4 * INFLATED_LIMIT):
            status, said = target.refused(body, GZIP)
        assert (status, "send the tensors as binary data" in said) == (413, True)
    document = json.dumps(GOOD).encode()
    padded = gzip.compress(document + b" " * (JSON_LIMIT - len(document)))
    assert target.request("POST", "/v2/models/model/infer", padded, GZIP)[0] == 200


def test_strings_past_what_is_read(strings: Target) -> None:
    count = MOST_STRINGS + 1
    body, headers = framed(b"", count, [count])
    status, _, answer = strings.request("POST", "/v2/models/model/infer", gzip.compress(body, 1), GZIP | headers)
    assert (status, f"at most {MOST_STRINGS} are read".encode() in answer) == (413, True)
    body, headers = framed(b"", INFLATED_LIMIT // 4 - 100, [3])
    body = gzip.compress(body, 1)
    with at_most_more_memory(4 * INFLATED_LIMIT):
        status, _, answer = strings.request("POST", "/v2/models/model/infer", body, GZIP | headers)
    assert (status, b"follow the last of 3 elements" in answer) == (400, True)
    half = MOST_STRINGS // 2 + 1
    halves = [{"name": name, "datatype": "BYTES", "shape": [half], "data": [""] * half} for name in "xy"]
    status, _, answer = strings.request("POST", "/v2/models/model/infer", json.dumps({"inputs": halves}).encode())
    assert (status, f"input 'y' makes it {2 * half} strings".encode() in answer) == (413, True)


@pytest.mark.parametrize("unit", [b"", b"ab"])
def test_as_many_strings_as_are_read(strings: Target, unit: bytes) -> None:
    body, headers = framed(unit, MOST_STRINGS, [MOST_STRINGS])
    accept = {"Accept-Encoding": "gzip"}
    with at_most_more_memory(MEMORY_OF_ONE_REQUEST):
        status, answered, answer = strings.request(
            "POST", "/v2/models/model/infer", gzip.compress(body, 1), GZIP | headers | accept
        )
    assert status == 200
    inflated = gzip.decompress(answer)
    assert (
        inflated[int(answered["inference-header-content-length"]) :]
        == body[int(headers["Inference-Header-Content-Length"]) :]
    )


@pytest.mark.parametrize("size", [17, 2**31, 2**63, 2**64, 10**4000, -1, 1.0, True, "16", [16], {}, 1e400])
def test_a_binary_data_size_that_is_none(target: Target, size: object) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    said = target.refused(head + bytes(16), {"Inference-Header-Content-Length": str(len(head))})[1]
    assert "16 bytes are left" in said


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
@pytest.mark.parametrize("shape", [[2**63 - 1], [2**63 - 1] * 64, [0, 2**63 - 1], [4] * 64])
def test_a_shape_far_larger_than_its_data(target: Target, datatype: str, shape: list[int]) -> None:
    for data in ({"data": []}, {"parameters": {"binary_data_size": 0}}):
        target.refused({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, **data}]})
