"""The errors of serving, each with the HTTP status that the client gets, and those of loading a model."""

from __future__ import annotations

# Characters. Messages quote what the client sent, which may be of any length, in the answer and in the log.
LONGEST_MESSAGE = 2000


class InferenceError(Exception):
    """Base of all errors with an HTTP status; the text becomes the `error` of the answer."""

    status = 500

    def __str__(self) -> str:
        message = super().__str__()
        if len(message) <= LONGEST_MESSAGE:
            return message
        return f"{message[:LONGEST_MESSAGE]}... ({len(message)} characters)"


class InvalidInput(InferenceError):
    """The request does not follow the protocol, or does not fit the model's signature."""

    status = 400


class NotFound(InferenceError):
    """No such route, model or version."""

    status = 404


class MethodNotAllowed(InferenceError):
    """The route exists, with another method.

    Attributes:
        allow: the methods that it has, as the Allow header lists them.
    """

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Conflict(InferenceError):
    """The request contradicts the state of what it names."""

    status = 409


class NotFinished(Conflict):
    """The job has no result yet."""


class Gone(InferenceError):
    """The job has ended without a result."""

    status = 410


class Unavailable(InferenceError):
    """AWS did not answer, or the function's environment variables are wrong."""

    status = 503


class PayloadTooLarge(InferenceError):
    """A body is larger than Lambda carries, or than this function reads."""

    status = 413


class UnsupportedMediaType(InferenceError):
    """A content encoding that is not supported."""

    status = 415


class ModelNotReady(InferenceError):
    """The model did not load; the text has the cause."""

    status = 503


class ModelFailed(InferenceError):
    """The model, or the user's processing file, failed on a valid request."""

    status = 500


class ModelUnusable(Exception):
    """Base of the errors of loading: the model or its processing file cannot be served."""


class SourceUnavailable(ModelUnusable):
    """S3, or the provider of the credentials for it, did not answer; a later attempt may succeed."""


class AccessDenied(SourceUnavailable):
    """S3 denies this role access. A later attempt may succeed, because a new policy takes time to take effect."""


class DiskFull(ModelUnusable):
    """The disk has no space for the model."""


class WrongContent(ModelUnusable):
    """The downloaded content is not what was deployed."""
