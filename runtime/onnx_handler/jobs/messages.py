"""A job's message on the queue.

    {"id", "model", "version", "headers": {...}, "body": text | "body_base64": base64 | "body_uri": "s3://bucket/key",
     "deadline", "fingerprint", "parked"}

The job API writes all of these. A client that puts jobs on the queue directly needs only a body: without `id`, the
message's own id becomes the job's. The message may also be nothing but a JSON request of the Open Inference Protocol,
an object with `inputs`.
"""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from onnx_handler.errors import InvalidInput

ID = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Bytes. The queue takes 1 MiB and bills each 64 KB; the body of a longer message goes to the bucket instead.
LARGEST = 200 * 1024
_BODIES = ("body", "body_base64", "body_uri")
_ENVELOPE = {"model", "headers", *_BODIES}
_LATEST = 10**14  # milliseconds: the year 5138


class UnreadableMessage(InvalidInput):
    """A message that is not a job.

    Attributes:
        id: the job's id, if the message has one.
        model: the model's name, if the message has one.
    """

    def __init__(self, text: str, id: str = "", model: str = "") -> None:
        super().__init__(text)
        self.id = id
        self.model = model


class Message(NamedTuple):
    """A job, as its message has it.

    Attributes:
        id: the job's id.
        model: the model's name; empty for the function's only model.
        version: the version that is asked for; None for the newest.
        headers: of the request, names in lower case.
        body: the request body as it was sent; None if it is in the bucket.
        body_uri: where the body is in the bucket; empty if it is in the message.
        deadline: milliseconds since the epoch; 0 if the message has none.
        fingerprint: of the request; empty if the message has none.
        parked: only on a message that was parked when its job failed: the value that the job's record has, too. It
            allows the message to revive the job.
    """

    id: str
    model: str
    version: str | None
    headers: dict[str, str]
    body: bytes | None
    body_uri: str = ""
    deadline: int = 0
    fingerprint: str = ""
    parked: str = ""


def fingerprint(model: str, version: str | None, header_length: str | None, body: bytes) -> str:
    """A SHA-256 over what makes two requests the same: the model, the requested version, and the decoded body."""
    digest = sha256()
    for part in (model, version or "", header_length or ""):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(body)
    return digest.hexdigest()


def records(event: Any) -> list[dict[str, Any]]:
    """The records of an SQS event, one for each message.

    Raises:
        ValueError: it is another event.
    """
    found = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(found, list) or not all(isinstance(record, dict) and "messageId" in record for record in found):
        got = sorted(event)[:8] if isinstance(event, dict) else type(event).__name__
        raise ValueError(f"not a batch of an SQS queue (got {got}): an event source mapping invokes this command")
    return found


def write(message: Message) -> str:
    """The message's text, in ASCII, because the queue refuses some characters."""
    document: dict[str, Any] = {"id": message.id}
    if message.model:
        document["model"] = message.model
    if message.version is not None:
        document["version"] = message.version
    if message.headers:
        document["headers"] = message.headers
    for name in ("deadline", "fingerprint", "parked"):
        if value := getattr(message, name):
            document[name] = value
    if message.body is None:
        document["body_uri"] = message.body_uri
    else:
        try:
            document["body"] = message.body.decode()
        except UnicodeDecodeError:
            document["body_base64"] = b2a_base64(message.body, newline=False).decode("ascii")
    return json.dumps(document, separators=(",", ":"))


def read(text: str, message_id: str, model: str | None = None) -> Message:
    """Reads a message.

    Args:
        text: the message's body.
        message_id: the queue's id of the message; becomes the job's id if the message has none.
        model: used if the message names no model: its attribute `model`, or the function's only model.

    Raises:
        UnreadableMessage: it is not a job.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableMessage(f"the message is not JSON: {error}", model=model or "") from None
    if not isinstance(document, dict):
        raise UnreadableMessage(f"the message is a JSON {type(document).__name__}; an object is expected")
    if not _ENVELOPE & document.keys():
        if "inputs" not in document:
            raise UnreadableMessage(
                f"the message has {sorted(document)[:8]!r:.200}; a body is expected: {', '.join(_BODIES)}, or inputs"
            )
        return Message(message_id, _model(model, message_id), None, {}, text.encode("utf-8", "replace"))
    job = document.get("id", message_id)
    if not isinstance(job, str) or not ID.fullmatch(job):
        raise UnreadableMessage(f"id is {job!r:.140}; {ID.pattern} is expected")
    named = document.get("model", model)
    try:
        return Message(
            job,
            _model(named, job),
            _version(document.get("version")),
            _headers(document.get("headers")),
            *_body(document),
            deadline=_deadline(document.get("deadline")),
            fingerprint=_text(document, "fingerprint"),
            parked=_text(document, "parked"),
        )
    except UnreadableMessage as error:
        error.id, error.model = job, named if isinstance(named, str) else ""
        raise


def _model(model: Any, job: str) -> str:
    if not isinstance(model, str) or not model:
        what = "names no model, and the function has several" if model is None else f"has the model {model!r:.80}"
        raise UnreadableMessage(f"the message {what}; its name is expected", job)
    return model


def _version(version: Any) -> str | None:
    if version is not None and not isinstance(version, str):
        raise UnreadableMessage(f"version is {version!r:.40}; a string is expected")
    return version or None


def _headers(headers: Any) -> dict[str, str]:
    if headers is None:
        return {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise UnreadableMessage("headers are not an object whose values are strings")
    return {name.lower(): value for name, value in headers.items()}


def _body(document: Mapping[str, Any]) -> tuple[bytes | None, str]:
    given = [name for name in _BODIES if document.get(name) is not None]
    if len(given) != 1:
        raise UnreadableMessage(
            f"the message has {given or 'no body'}; exactly one of {', '.join(_BODIES)} is expected"
        )
    (name,) = given
    value = document[name]
    if not isinstance(value, str):
        raise UnreadableMessage(f"{name} is a {type(value).__name__}; a string is expected")
    if name == "body_uri":
        return None, value
    try:
        return a2b_base64(value, strict_mode=True) if name == "body_base64" else value.encode(), ""
    except (Base64Error, ValueError) as error:
        raise UnreadableMessage(f"{name} is not what its name says: {error}") from None


def _deadline(deadline: Any) -> int:
    if deadline is None:
        return 0
    if type(deadline) is not int or not 0 < deadline < _LATEST:
        raise UnreadableMessage(f"deadline is {deadline!r:.40}; milliseconds since the epoch are expected")
    return deadline


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str):
        raise UnreadableMessage(f"{name} is {value!r:.40}; a string is expected")
    return value
