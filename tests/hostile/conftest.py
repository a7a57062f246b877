"""One handler for every hostile request: a request that spoils it spoils the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from onnx_handler.http import Handler
from tests.hostile.lambda_log import LambdaLog
from tests.runtime.conftest import CONTEXT, Served
from tests.runtime.conftest import serve as serve  # the fixture
from tests.support import events, models

# Every refusal names the problem; none of these says anything to a client.
VAGUE = "the function's log has more"
GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}


class Target(Served):
    """A served model that must survive whatever it is sent."""

    def refused(self, body: bytes | Any, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Sends a body that is to be refused, and a good one after it; gives the status and the error."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = self.request("POST", "/v2/models/model/infer", sent, headers)
        return self._judged(status, json.loads(answer))

    def refused_event(self, event: Any) -> tuple[int, str]:
        """The same for a whole event."""
        status, _, answer = events.answered(self.handler.handle(event, CONTEXT))
        return self._judged(status, json.loads(answer))

    def _judged(self, status: int, answer: Any) -> tuple[int, str]:
        assert 400 <= status < 500, answer
        assert answer["error"]
        assert VAGUE not in answer["error"]
        self.must_answer()
        return status, answer["error"]

    def must_answer(self) -> None:
        status, answer = self.infer(GOOD)
        assert (status, answer["outputs"][0]["data"]) == (200, [60.0, 70.0, 80.0])


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """`y` [batch, 3] is `x` [batch, 4] times a matrix."""
    directory = models.save(models.matmul(), tmp_path_factory.mktemp("model"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_PATH", str(directory))
        yield Target(Handler(), events.function_url)


@pytest.fixture
def lambda_log() -> Iterator[LambdaLog]:
    """What the handler logs, as Lambda's own log handler would write it."""
    log, handler = logging.getLogger("onnx_handler"), LambdaLog()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
