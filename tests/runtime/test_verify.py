"""The deployment hook: what it sends, how it compares, what it reports to CodeDeploy."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_handler.verify import Handler, VerificationFailed, check, outputs_of, read, request

Array = NDArray[Any]
X = np.array([[1.0, 2.5], [-3.0, 4.0]], np.float32)
TARGET = "arn:aws:lambda:eu-west-1:123456789012:function:digits:7"


def archive(
    inputs: dict[str, Array], outputs: dict[str, Array], *, min_agreement: float | None = None, rtol: float = 1e-3
) -> bytes:
    files = BytesIO()
    with zipfile.ZipFile(files, "w") as made:
        for name, arrays in (("0.inputs.npz", inputs), ("0.outputs.npz", outputs)):
            data = BytesIO()
            np.savez(data, **arrays)  # type: ignore[arg-type]
            made.writestr(name, data.getvalue())
        document = {
            "format_version": 1,
            "min_agreement": min_agreement,
            "outputs": {name: {"rtol": rtol, "atol": 1e-4} for name in outputs},
            "samples": [{"inputs": "0.inputs.npz", "outputs": "0.outputs.npz"}],
        }
        made.writestr("goldens.json", json.dumps(document))
    return files.getvalue()


class Aws:
    """Clients that answer as a version would whose outputs are these."""

    def __init__(self, samples: bytes, answer: Any) -> None:
        self.samples = samples
        self.answer = answer
        self.reported: list[dict[str, str]] = []
        self.invoked: list[tuple[str, dict[str, Any]]] = []

    def get(self, service: str) -> Any:
        return self

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert (Bucket, Key) == ("assets", "goldens.zip")
        return {"Body": BytesIO(self.samples)}

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        self.invoked.append((FunctionName, json.loads(Payload)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Payload": BytesIO(json.dumps(self.answer).encode())} | (
            {"FunctionError": "Unhandled"} if "errorMessage" in self.answer else {}
        )

    def put_lifecycle_event_hook_execution_status(self, **reported: str) -> None:
        self.reported.append(reported)


class Context:
    def __init__(self, left: int = 60_000) -> None:
        self.left = left

    def get_remaining_time_in_millis(self) -> int:
        return self.left


EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}


def hook(aws: Aws, event: Any = EVENT, left: int = 60_000) -> dict[str, str]:
    goldens = [{"model": "digits", "version": "1", "uri": "s3://assets/goldens.zip"}]
    handler = Handler({"VERIFY_TARGET": TARGET, "VERIFY_GOLDENS": json.dumps(goldens)})
    handler._clients = aws  # type: ignore[assignment]
    return handler.handle(event, Context(left))


def answered(**outputs: Array) -> dict[str, Any]:
    tensors = [
        {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": array.ravel().tolist()}
        for name, array in outputs.items()
    ]
    return {"statusCode": 200, "body": json.dumps({"outputs": tensors}), "isBase64Encoded": False}


def test_as_expected() -> None:
    aws = Aws(archive({"x": X}, {"y": 2 * X}), answered(y=2 * X + 1e-5))
    assert hook(aws) == {"status": "Succeeded", "reason": ""}
    assert aws.reported == [{"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": "Succeeded"}]
    ((target, event),) = aws.invoked
    assert target == TARGET
    assert event["rawPath"] == "/v2/models/digits/versions/1/infer"
    assert json.loads(event["body"])["inputs"] == [
        {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.5, -3.0, 4.0]}
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answered(y=2 * X + 1), "e.g. at [0, 0] it is 3.0, not 2.0"),
        (answered(y=X), "0.0% of it is as expected"),
        (answered(y=2 * X[:1]), "has the shape [1, 2]; [2, 2] is expected"),
        (answered(z=2 * X), "is not among the answer's ['z']"),
        ({"statusCode": 503, "body": '{"error": "not ready"}'}, "the answer is 503"),
        ({"errorMessage": "out of memory", "errorType": "Runtime.ExitError"}, "out of memory"),
        (ConnectionError("no route"), "unexpected ConnectionError: no route"),
        ({"statusCode": 200, "body": "{}"}, "unexpected KeyError"),
    ],
)
def test_not_as_expected(answer: Any, said: str) -> None:
    aws = Aws(archive({"x": X}, {"y": 2 * X}), answer)
    result = hook(aws)
    assert result["status"] == "Failed"
    assert said in result["reason"]
    assert [reported["status"] for reported in aws.reported] == ["Failed"]


def test_samples_that_cannot_be_read() -> None:
    aws = Aws(b"no archive", answered(y=X))
    assert "cannot be read" in hook(aws)["reason"]
    assert aws.reported[0]["status"] == "Failed"
    assert aws.invoked == []


def test_the_time_is_up() -> None:
    aws = Aws(archive({"x": X}, {"y": 2 * X}), answered(y=2 * X))
    assert "raise the hook's timeout" in hook(aws, left=4_000)["reason"]
    assert aws.reported[0]["status"] == "Failed"


def test_nothing_to_verify() -> None:
    handler = Handler({})
    handler._clients = aws = Aws(b"", {})  # type: ignore[assignment]
    assert "nothing to verify" in handler.handle(EVENT, Context())["reason"]
    assert aws.reported[0]["status"] == "Failed"


def test_an_event_by_hand_is_answered_and_not_reported() -> None:
    aws = Aws(archive({"x": X}, {"y": 2 * X}), answered(y=2 * X))
    assert hook(aws, event={})["status"] == "Succeeded"
    assert aws.reported == []


SCORES = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
CLOSE = np.array([[0.2, 0.8], [0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], np.float32)  # the third row is another class


@pytest.mark.parametrize(("needed", "passes"), [(0.75, True), (0.76, False), (None, False)])
def test_agreement_of_rows_on_their_largest_score(needed: float | None, passes: bool) -> None:
    goldens = read("digits", "1", archive({"x": X}, {"y": SCORES}, min_agreement=needed))
    if passes:
        check(goldens, 0, {"y": CLOSE})
    else:
        with pytest.raises(VerificationFailed):
            check(goldens, 0, {"y": CLOSE})


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "ünï"]]),
        np.array([True, False]),
        np.arange(6, dtype=np.int64).reshape(1, 2, 3),
        np.array(3.5, np.float64),
        np.array([], np.float32),
        np.array([np.inf, np.nan], np.float32),
        np.array([2**63], np.uint64),
    ],
)
def test_values_survive_the_way(array: Array) -> None:
    """What is sent, if a model gives it back as it is, is what is expected."""
    goldens = read("digits", "1", archive({"x": array}, {"y": array}))
    (tensor,) = json.loads(request(goldens, goldens.samples[0][0])["body"])["inputs"]
    body = json.dumps({"outputs": [tensor | {"name": "y"}]})
    check(goldens, 0, outputs_of({"statusCode": 200, "body": body}))


def test_a_type_that_the_protocol_does_not_have() -> None:
    goldens = read("digits", "1", archive({"x": np.array([1j])}, {"y": X}))
    with pytest.raises(VerificationFailed, match="complex128"):
        request(goldens, goldens.samples[0][0])
