"""The command of deployment hooks: `onnx_handler.verify.handler`.

CodeDeploy invokes it before it shifts traffic to a new version, and after. It sends the golden samples of the models'
packages to the version, or to the alias, as a client would. It reports Succeeded if all answers are within the samples'
tolerances. Every error is reported as Failed, with the reason in the log, because CodeDeploy would otherwise wait for
an hour.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile

import numpy as np

from .aws import Clients
from .tensors.codecs import Array, datatype_of, numpy_type, to_json

_log = logging.getLogger("onnx_handler")

# Seconds. The invocation may include the cold start of a large model, which may take as long as a function may run.
_READ_TIMEOUT = 900.0
# Milliseconds of the function's timeout that are kept to report the result.
_REPORT_MILLISECONDS = 5_000

Sample = tuple[dict[str, Array], dict[str, Array]]


class VerificationFailed(Exception):
    """An answer is not within the tolerances, or a model cannot be invoked."""


class Goldens(NamedTuple):
    """The golden samples of one model.

    Attributes:
        model: the model's name in the protocol.
        version: its version there.
        samples: inputs and expected outputs, by name.
        tolerances: `rtol` and `atol` by output.
        min_agreement: share of an output that must agree; None if all values must be within the tolerances.
    """

    model: str
    version: str
    samples: list[Sample]
    tolerances: Mapping[str, Mapping[str, float]]
    min_agreement: float | None


class Handler:
    """What one execution environment keeps between events.

    Args:
        environment: the function's environment variables.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._clients = Clients(attempts=6, read_timeout=_READ_TIMEOUT)

    def handle(self, event: Any, context: Any) -> dict[str, str]:
        """Verifies, and reports to CodeDeploy. For any other event, only the answer has the result."""
        reason = ""
        try:
            count = self._verify(context)
            _log.info("%d golden samples are answered as expected", count)
        except VerificationFailed as cause:
            reason = str(cause)
        except Exception as cause:
            reason = f"unexpected {type(cause).__name__}: {cause}"
        status = "Failed" if reason else "Succeeded"
        if reason:
            _log.error("the goldens are not answered as expected: %s", reason)
        if isinstance(event, dict) and "DeploymentId" in event:
            self._clients.get("codedeploy").put_lifecycle_event_hook_execution_status(
                deploymentId=event["DeploymentId"],
                lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
                status=status,
            )
        return {"status": status, "reason": reason}

    def _verify(self, context: Any) -> int:
        target = self._environment.get("VERIFY_TARGET")
        sources = self._environment.get("VERIFY_GOLDENS")
        if not target or not sources:
            raise VerificationFailed("VERIFY_TARGET or VERIFY_GOLDENS is not set: there is nothing to verify")
        count = 0
        for source in json.loads(sources):
            goldens = read(source["model"], source["version"], self._fetch(source["uri"]))
            for number, sample in enumerate(goldens.samples):
                if context.get_remaining_time_in_millis() < _REPORT_MILLISECONDS:
                    raise VerificationFailed(f"the time was up after {count} samples: raise the hook's timeout")
                check(goldens, number, self._ask(target, goldens, sample[0]))
                count += 1
        return count

    def _fetch(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self._clients.get("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _ask(self, target: str, goldens: Goldens, inputs: dict[str, Array]) -> dict[str, Array]:
        answer = self._clients.get("lambda").invoke(
            FunctionName=target, Payload=json.dumps(request(goldens, inputs)).encode()
        )
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            raise VerificationFailed(f"the invocation failed: {payload.decode(errors='replace'):.500}")
        return outputs_of(json.loads(payload))


def read(model: str, version: str, archive: bytes) -> Goldens:
    """Reads the zipped directory `goldens/` of a model package.

    Raises:
        VerificationFailed: it cannot be read, or has no sample.
    """
    try:
        with ZipFile(BytesIO(archive)) as files:
            document = json.loads(files.read("goldens.json"))
            samples = [
                (_arrays(files.read(sample["inputs"])), _arrays(files.read(sample["outputs"])))
                for sample in document["samples"]
            ]
    except (BadZipFile, KeyError, ValueError, TypeError) as error:
        raise VerificationFailed(f"the goldens of model {model!r} cannot be read: {error!r}") from None
    if not samples:
        raise VerificationFailed(f"the goldens of model {model!r} have no sample")
    return Goldens(model, version, samples, document["outputs"], document.get("min_agreement"))


def _arrays(data: bytes) -> dict[str, Array]:
    with np.load(BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def request(goldens: Goldens, inputs: Mapping[str, Array]) -> dict[str, Any]:
    """The event of an HTTP API with an inference request for these inputs."""
    tensors = []
    for name, array in inputs.items():
        datatype = datatype_of(array)
        if datatype is None:
            raise VerificationFailed(f"input {name!r} is of type {array.dtype}, which the protocol does not have")
        head = json.dumps({"name": name, "shape": list(array.shape), "datatype": datatype})
        tensors.append(f'{head[:-1]}, "data": {to_json(array, datatype)}}}')
    path = f"/v2/models/{quote(goldens.model, safe='')}/versions/{goldens.version}/infer"
    return {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": path}},
        "body": f'{{"inputs": [{", ".join(tensors)}]}}',
        "isBase64Encoded": False,
    }


def outputs_of(response: Any) -> dict[str, Array]:
    """The tensors of an answer.

    Raises:
        VerificationFailed: the answer is an error; its status and text are in the message.
    """
    status, body = response.get("statusCode"), response.get("body", "")
    if status != 200:
        raise VerificationFailed(f"the answer is {status}: {body:.500}")
    found = {}
    for tensor in json.loads(body)["outputs"]:
        datatype = tensor["datatype"]
        dtype = np.dtype(object) if datatype == "BYTES" else numpy_type(datatype)
        found[tensor["name"]] = np.array(tensor["data"], dtype).reshape(tensor["shape"])
    return found


def check(goldens: Goldens, number: int, answered: Mapping[str, Array]) -> None:
    """Compares an answer with a sample's expected outputs.

    Raises:
        VerificationFailed: an output is missing, has another shape, or is not within its tolerance.
    """
    for name, expected in goldens.samples[number][1].items():
        what = f"model {goldens.model!r}, sample {number}, output {name!r}"
        if name not in answered:
            raise VerificationFailed(f"{what} is not among the answer's {sorted(answered)}")
        got = answered[name]
        if got.shape != expected.shape:
            raise VerificationFailed(f"{what} has the shape {list(got.shape)}; {list(expected.shape)} is expected")
        tolerance = goldens.tolerances.get(name, {})
        within = _within(expected, got, tolerance)
        if goldens.min_agreement is None:
            share, needed = float(within.mean()) if within.size else 1.0, 1.0
        else:
            share, needed = _agreement(expected, got, within), goldens.min_agreement
        if share < needed:
            raise VerificationFailed(
                f"{what}: {share:.1%} of it is as expected, and {needed:.1%} must be "
                f"(within {tolerance.get('atol', 0):g} + {tolerance.get('rtol', 0):g} x expected)"
                + "".join(_examples(expected, got, within))
            )


def _within(expected: Array, got: Array, tolerance: Mapping[str, float]) -> Array:
    if expected.dtype.kind in "fc":
        return np.isclose(
            got.astype(np.float64),
            expected.astype(np.float64),
            rtol=tolerance.get("rtol", 0.0),
            atol=tolerance.get("atol", 0.0),
            equal_nan=True,
        )
    if expected.dtype.kind in "USO":
        return np.asarray(got.astype(str) == expected.astype(str))
    return np.asarray(got == expected)


def _agreement(expected: Array, got: Array, within: Array) -> float:
    """The share of rows whose largest score is the same one; of values, if the output has no scores."""
    if expected.dtype.kind == "f" and expected.ndim and expected.shape[-1] >= 2:
        within = np.asarray(expected.argmax(axis=-1) == got.argmax(axis=-1))
    return float(within.mean()) if within.size else 1.0


def _examples(expected: Array, got: Array, within: Array) -> Iterator[str]:
    wrong = np.argwhere(~np.atleast_1d(within))
    if len(wrong):
        place = tuple(wrong[0])
        values = np.atleast_1d(got)[place], np.atleast_1d(expected)[place]
        yield f"; e.g. at {[int(index) for index in place]} it is {values[0]}, not {values[1]}"


handler = Handler().handle
