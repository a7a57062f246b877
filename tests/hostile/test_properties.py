"""Malformed requests of every kind, by every source of events: a 4xx that names the problem, and the next is served."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.conftest import GOOD, VAGUE, Target
from tests.runtime.conftest import CONTEXT
from tests.support import events

INFER = "/v2/models/model/infer"
FINE = GOOD["inputs"][0]
SOURCES = st.sampled_from(events.SOURCES)
many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = st.text(st.characters(codec=None), max_size=8)  # half surrogate pairs, too
NUMBERS = st.integers() | st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400]) | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NO_TEXT = VALUES.filter(lambda value: not isinstance(value, str))
NO_LIST = VALUES.filter(lambda value: not isinstance(value, list))
NO_OBJECT = VALUES.filter(lambda value: value is not None and not isinstance(value, dict))
NO_SIZE = VALUES.filter(lambda value: type(value) is not int or value != 16).filter(lambda value: value is not None)
NO_FLAG = VALUES.filter(lambda value: not isinstance(value, bool))


def ask(
    target: Target, source: events.Builder, body: bytes, headers: dict[str, str], path: str = INFER
) -> tuple[int, Any]:
    event = source("POST", path, headers, body)
    status, _, answer = events.answered(target.handler.handle(event, CONTEXT))
    target.must_answer()
    return status, json.loads(answer)


def refused(target: Target, source: events.Builder, body: bytes | Any, headers: dict[str, str] | None = None) -> str:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = ask(target, source, sent, headers or {})
    assert 400 <= status < 500, answer
    assert VAGUE not in answer["error"]
    said: str = answer["error"]
    return said


def binary(tensor: dict[str, Any], raw: bytes = bytes(16)) -> tuple[bytes, dict[str, str]]:
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


@many
@given(SOURCES, st.binary(max_size=64) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_a_body_that_is_no_json(target: Target, source: events.Builder, body: bytes) -> None:
    try:
        json.loads(body)
    except ValueError:
        assert "not JSON" in refused(target, source, body)


@many
@given(SOURCES, st.integers(0, len(json.dumps(GOOD)) - 1))
def test_json_that_ends_early(target: Target, source: events.Builder, length: int) -> None:
    assert "not JSON" in refused(target, source, json.dumps(GOOD).encode()[:length])


@many
@given(SOURCES, NO_OBJECT | st.none())
def test_a_document_that_is_no_object(target: Target, source: events.Builder, document: Any) -> None:
    assert "an object is expected" in refused(target, source, document)


@many
@given(SOURCES, VALUES)
def test_inputs_that_are_none(target: Target, source: events.Builder, value: Any) -> None:
    assert "input" in refused(target, source, {"inputs": value})
    assert "input" in refused(target, source, {"inputs": [value]})


def fits(data: Any) -> bool:
    row = data[0] if isinstance(data, list) and len(data) == 1 else data
    return isinstance(row, list) and len(row) == 4 and all(type(value) in (int, float) for value in row)


MEMBERS = [("name", NO_TEXT), ("datatype", VALUES), ("shape", NO_LIST), ("shape", st.lists(NO_TEXT, max_size=5))]
MEMBERS += [("data", VALUES), ("parameters", NO_OBJECT)]


@many
@given(SOURCES, st.data())
def test_an_input_with_a_wrong_member(target: Target, source: events.Builder, data: st.DataObject) -> None:
    member, strategy = data.draw(st.sampled_from(MEMBERS))
    value = data.draw(strategy)
    if (member, value) == ("shape", [1, 4]) or (member == "data" and fits(value)):
        return
    said = refused(target, source, {"inputs": [{**FINE, member: value}]})
    assert said.startswith(
        "inputs is not" if member == "name" else "parameters of input 'x'" if member == "parameters" else "input 'x'"
    )


@many
@given(SOURCES, NO_SIZE)
def test_a_wrong_binary_data_size(target: Target, source: events.Builder, size: Any) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": size}}
    said = refused(target, source, *binary(tensor))
    assert "binary_data_size is" in said or "of binary data" in said


@many
@given(
    SOURCES,
    st.sampled_from(["BYTES", "FP32", "INT8"]),
    st.binary(max_size=32),
    st.lists(st.integers(0, 2**64), max_size=4),
)
def test_binary_data_that_does_not_fit(
    target: Target, source: events.Builder, datatype: str, raw: bytes, shape: list[int]
) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    if datatype == "FP32" and len(shape) == 2 and shape[1] == 4 and len(raw) == 16 * shape[0]:
        return  # it fits
    assert "input 'x'" in refused(target, source, *binary(tensor, raw))


@many
@given(SOURCES, st.text(max_size=12).filter(lambda text: text not in ("0",)))
def test_a_wrong_header_length(target: Target, source: events.Builder, length: str) -> None:
    body = json.dumps(GOOD).encode()
    if length.isascii() and length.isdigit() and int(length) == len(body):
        return
    said = refused(target, source, body, {"Inference-Header-Content-Length": length})
    assert "Inference-Header-Content-Length" in said or "not JSON" in said


@many
@given(SOURCES, st.sampled_from(["gzip", "deflate", "GZIP", " x-gzip "]), st.binary(max_size=64), st.integers(1, 400))
def test_a_body_that_is_not_compressed_as_it_says(
    target: Target, source: events.Builder, encoding: str, raw: bytes, cut: int
) -> None:
    name = encoding.strip().lower()
    assert name in refused(target, source, raw, {"Content-Encoding": encoding})
    whole = (zlib if name == "deflate" else gzip).compress(json.dumps(GOOD).encode() * 4)
    assert name in refused(target, source, whole[: -min(cut, len(whole))], {"Content-Encoding": encoding})
    assert name in refused(target, source, whole + b"x" * cut, {"Content-Encoding": encoding})


KNOWN = ("", "identity", "gzip", "x-gzip", "deflate")


@many
@given(SOURCES, st.text(max_size=12) | st.lists(st.sampled_from(KNOWN[1:]), min_size=2, max_size=3).map(", ".join))
def test_other_content_encodings(target: Target, source: events.Builder, encoding: str) -> None:
    if encoding.strip().lower() not in KNOWN:
        assert "gzip, deflate and identity" in refused(target, source, GOOD, {"Content-Encoding": encoding})


@many
@given(SOURCES, st.sampled_from(["outputs", "parameters", "id"]), VALUES)
def test_a_request_with_a_wrong_member(target: Target, source: events.Builder, member: str, value: Any) -> None:
    fitting = {"outputs": value in (None, []), "parameters": value is None or isinstance(value, dict)}
    fitting["id"] = value is None or isinstance(value, str)
    status, answer = ask(target, source, json.dumps({**GOOD, member: value}).encode(), {})
    if fitting[member]:
        assert status == 200, answer
    else:
        assert (status, member in answer["error"]) == (400, True)


@many
@given(SOURCES, st.sampled_from(["binary_data", "binary_data_output"]), NO_FLAG)
def test_a_flag_that_is_none(target: Target, source: events.Builder, flag: str, value: Any) -> None:
    own = {"outputs": [{"name": "y", "parameters": {"binary_data": value}}]}
    document = GOOD | (own if flag == "binary_data" else {"parameters": {"binary_data_output": value}})
    assert f"{flag} is" in refused(target, source, document)


@many
@given(
    SOURCES,
    st.text(st.characters(codec="utf-8"), max_size=30).filter(lambda text: "v2" not in text),
    st.sampled_from(["GET", "POST", "PUT", "", "get"]),
)
def test_any_path_and_method(target: Target, source: events.Builder, path: str, method: str) -> None:
    event = source(method, f"/{path}", {}, b"")
    status, _, _ = events.answered(target.handler.handle(event, CONTEXT))
    assert status in (404, 405)
    target.must_answer()


@many
@given(SOURCES, st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5))
def test_any_other_headers_change_nothing(target: Target, source: events.Builder, headers: dict[str, str]) -> None:
    special = {"content-encoding", "inference-header-content-length"}
    kept = {name: value for name, value in headers.items() if name.lower() not in special}
    assert ask(target, source, json.dumps(GOOD).encode(), kept)[0] == 200


@many
@given(SOURCES, st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_accept_encoding_is_survived(target: Target, source: events.Builder, accepted: str) -> None:
    assert ask(target, source, json.dumps(GOOD).encode(), {"Accept-Encoding": accepted})[0] == 200


HEADERS = ["Inference-Header-Content-Length", "Content-Encoding"]


@pytest.mark.parametrize("source", [events.rest_api, events.load_balancer_multi_value])
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_given_twice(target: Target, source: events.Builder, header: str) -> None:
    event = source("POST", INFER, {}, json.dumps(GOOD).encode())
    value = "gzip" if header == "Content-Encoding" else str(len(json.dumps(GOOD)))
    event["multiValueHeaders"] = {header: [value, value]}
    status, said = target.refused_event(event)
    assert (status, f"{value},{value}" in said) == (415 if header == "Content-Encoding" else 400, True)
    event["multiValueHeaders"] = {header: []}
    status, said = target.refused_event(event) if header == HEADERS[0] else (400, "Length is ''")
    assert (status, "Length is ''" in said) == (400, True)


@pytest.mark.parametrize(
    "length",
    ["٣", "\uff11\uff12", "1_0", "+12", " 12", "12 ", "0x0c", "1e1", "12, 12", "00000000000000000012", "9" * 5000],
)
def test_a_header_length_that_python_would_take(target: Target, length: str) -> None:
    assert "Length is" in target.refused(GOOD, {"Inference-Header-Content-Length": length})[1]
