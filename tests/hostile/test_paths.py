"""Paths and methods that are made to break something."""

from __future__ import annotations

from typing import Any

import pytest

from onnx_handler.protocol.open_inference import match
from onnx_handler.protocol.routing import LONGEST_PATH
from tests.hostile.conftest import Target
from tests.runtime.conftest import CONTEXT
from tests.support import events


def event(method: str, path: str) -> dict[str, Any]:
    return events.http_api(method, "", {}, b"") | {
        "rawPath": path,
        "requestContext": {"http": {"method": method, "path": path}},
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "v2/health",
        "/v2//health/live/x",
        "/V2",
        "/v2/models",
        "/v2/models//infer",
        "/v2/models/model/versions/1/infer/more",
        "/v2/models/../models/other/infer/..",
        "/v2/models/model%2Finfer/x",
        "/v2/\ud800",
        "/v2/\0",
        "/%76%32",
        "/v2" * 1000 + "/x",
        "/v2/health/live" * 1000 + "x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "get", "", "\ud800", "GET /v2", "X" * 100_000])
def test_no_route(target: Target, method: str, path: str) -> None:
    status, said = target.refused_event(event(method, path))
    assert status == 404
    assert "no route" in said


@pytest.mark.parametrize(
    "model", ["other", "MODEL", "model ", "mod%00el", "%ff", "%", "%zz", "\ud800", "model\0", "x" * 9000]
)
def test_an_unknown_model(target: Target, model: str) -> None:
    status, said = target.refused_event(event("GET", f"/v2/models/{model}"))
    assert status == 404
    assert "unknown model" in said


@pytest.mark.parametrize("version", ["0", "2", "01", "+1", "1.0", "latest", "%31%00", "¹"])
def test_an_unknown_version(target: Target, version: str) -> None:
    status, said = target.refused_event(event("POST", f"/v2/models/model/versions/{version}/infer"))
    assert status == 404
    assert "unknown model" in said


def test_a_path_longer_than_any_source_carries(target: Target) -> None:
    remembered = match.cache_info().currsize
    for path in ("/v2" * 2_000_000, "/x" * 2_000_000 + "/v2", "/" * 6_000_000):
        status, said = target.refused_event(event("GET", path))
        assert (status, f"at most {LONGEST_PATH}" in said) == (404, True)
    assert match.cache_info().currsize <= remembered + 1  # the good request's own


def test_a_path_of_many_bases(target: Target) -> None:
    path = "/v2" * (LONGEST_PATH // 3)
    status, _, _ = events.answered(target.handler.handle(event("GET", path), CONTEXT))
    assert status == 200


def test_what_is_remembered_of_paths_is_bounded(target: Target) -> None:
    for number in range(200):
        target.handler.handle(event("GET", f"/{number}/v2"), CONTEXT)
    information = match.cache_info()
    assert information.currsize <= (information.maxsize or 0)
