"""What a client sent comes back in messages and goes to the log: neither may be broken by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnx_handler.errors import LONGEST_MESSAGE
from tests.hostile.conftest import GOOD, Target
from tests.hostile.lambda_log import LambdaLog
from tests.runtime.conftest import Serve
from tests.support import events, models

FINE = GOOD["inputs"][0]
NAMES = ["\ud800", "\udfff\ud800", "\0", "\x1b[2J", "\u202e", "\n", "{}%s%(x)d", '"', "x" * 100_000, "\0" * 1_000_000]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("place", ["input", "output", "twice", "datatype", "id", "member"])
def test_names_of_any_kind(target: Target, lambda_log: LambdaLog, place: str, name: str) -> None:
    document: dict[str, Any] = {
        "input": {"inputs": [{**FINE, "name": name}]},
        "output": {"inputs": [FINE], "outputs": [{"name": name}]},
        "twice": {"inputs": [{**FINE, "name": name}, {**FINE, "name": name}]},
        "datatype": {"inputs": [{**FINE, "datatype": name}]},
        "id": {"id": [name], "inputs": [FINE]},
        "member": {"inputs": [{**FINE, "data": {name: 1}}]},
    }[place]
    said = target.refused(document)[1]
    assert len(said) < LONGEST_MESSAGE + 50
    assert len(lambda_log.lines) == 1
    assert len(lambda_log.lines[0]) < 2 * LONGEST_MESSAGE


@pytest.mark.parametrize("source", events.SOURCES)
def test_an_answer_that_would_be_too_long_to_carry(target: Target, source: events.Builder) -> None:
    for method, path in (("X" * 5_000_000, "/v2"), ("\0" * 2_000_000, "/v2")):
        status, _, answer = events.answered(target.handler.handle(source(method, path, {}, b""), None))
        assert (status, len(answer) < 10 * LONGEST_MESSAGE) == (405, True)
    headers = {"Content-Encoding": "x" * 5_000_000}
    status, _, answer = events.answered(
        target.handler.handle(source("POST", "/v2/models/model/infer", headers, b"{}"), None)
    )
    assert (status, len(answer) < 10 * LONGEST_MESSAGE) == (415, True)
    target.must_answer()


def test_half_a_surrogate_pair_reaches_the_log(target: Target, lambda_log: LambdaLog) -> None:
    path = events.http_api("GET", "", {}, b"") | {"rawPath": "/\ud800"}
    assert target.refused_event(path)[0] == 404
    assert b"\\ud800" in lambda_log.lines[0]


@pytest.mark.parametrize("error", ["ValueError", "RuntimeError"])
def test_half_a_surrogate_pair_from_a_processing_file(serve: Serve, lambda_log: LambdaLog, error: str) -> None:
    served = serve(models.matmul(), f"def preprocess(request):\n    raise {error}(request.parameters['language'])\n")
    status, answer = served.infer({"inputs": [FINE], "parameters": {"language": "\ud800"}})
    assert status == (400 if error == "ValueError" else 500)
    assert "\ud800" in answer["error"]
    assert b"\\ud800" in lambda_log.lines[-1]
    if error == "RuntimeError":
        assert b"Traceback" in lambda_log.lines[-1]


@pytest.mark.parametrize("text", ["\ud800", "\0", "\u202e", "é\n", "x" * 100_000])
def test_an_id_is_echoed_whatever_it_is(target: Target, text: str) -> None:
    status, answer = target.infer({**GOOD, "id": text})
    assert (status, answer["id"]) == (200, text)


def test_very_many_inputs_and_outputs(target: Target) -> None:
    many = [{"name": f"i{number}", "datatype": "FP32", "shape": [0], "data": []} for number in range(100_000)]
    said = target.refused({"inputs": many})[1]
    assert said.startswith("input 'i0' is not one of the model's: ['x']; ")
    assert said.endswith("input 'x' is missing")
    wanted = [{"name": f"o{number}"} for number in range(100_000)]
    assert "'o0' is not one of" in target.refused({"inputs": [FINE], "outputs": wanted})[1]
    assert "asked for twice" in target.refused({"inputs": [FINE], "outputs": [{"name": "y"}] * 100_000})[1]


def test_of_a_member_given_twice_the_last_counts(target: Target) -> None:
    body = json.dumps(GOOD).replace('"data":', '"data": [9], "data":').encode()
    status, _, answer = target.request("POST", "/v2/models/model/infer", b'{"inputs": 3, ' + body[1:])
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, [60, 70, 80])
