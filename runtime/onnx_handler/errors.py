"""What can go wrong while serving, each with the HTTP status that the client sees."""

from __future__ import annotations

# Messages quote what the client sent, names of any length among it; both the answer and the log have to carry them.
LONGEST_MESSAGE = 2000


class InferenceError(Exception):
    """Base of every error that has a status of its own; its text is the `error` of the answer."""

    status = 500

    def __str__(self) -> str:
        message = super().__str__()
        if len(message) <= LONGEST_MESSAGE:
            return message
        return f"{message[:LONGEST_MESSAGE]}... ({len(message)} characters)"


class InvalidInput(InferenceError):
    """The request is not what the protocol or the model's signature asks for."""

    status = 400


class NotFound(InferenceError):
    """No such route, model or version."""

    status = 404


class MethodNotAllowed(InferenceError):
    """The route exists, under another method."""

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Conflict(InferenceError):
    """What was asked for does not fit what is there."""

    status = 409


class NotFinished(Conflict):
    """There is no result yet; there may be, later."""


class Gone(InferenceError):
    """There will be no result."""

    status = 410


class Unavailable(InferenceError):
    """AWS did not answer, or the function's environment is wrong."""

    status = 503


class PayloadTooLarge(InferenceError):
    """A body past what Lambda carries, or past what this function will inflate."""

    status = 413


class UnsupportedMediaType(InferenceError):
    """A content encoding that is not read here."""

    status = 415


class ModelNotReady(InferenceError):
    """The model did not load; the text holds the cause."""

    status = 503


class ModelFailed(InferenceError):
    """The model, or the user's processing file, raised on a request that was well formed."""

    status = 500


class ModelUnusable(Exception):
    """The model or its processing file cannot be served at all; found while loading."""


class SourceUnavailable(ModelUnusable):
    """What the model comes from did not answer in time; it may, later."""


class AccessDenied(SourceUnavailable):
    """S3 does not let this role read it. It may, when a policy that was made a moment ago is known everywhere."""


class DiskFull(ModelUnusable):
    """The model does not fit where it was to go."""


class WrongContent(ModelUnusable):
    """What was downloaded is not what was deployed."""
