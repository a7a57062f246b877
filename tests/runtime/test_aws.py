"""Which errors of AWS are transient."""

from __future__ import annotations

from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, ReadTimeoutError

from onnx_handler.aws import is_transient


def test_which_errors_are_transient() -> None:
    def answered(code: str, status: int) -> ClientError:
        return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutItem")

    assert is_transient(answered("ProvisionedThroughputExceededException", 400))
    assert is_transient(answered("SlowDown", 503))
    assert is_transient(answered("InternalError", 500))
    assert is_transient(ReadTimeoutError(endpoint_url="x"))
    assert is_transient(EndpointConnectionError(endpoint_url="x"))
    assert not is_transient(answered("AccessDeniedException", 400))
    assert not is_transient(answered("ValidationException", 400))
    assert not is_transient(ParamValidationError(report="x"))
    assert not is_transient(ValueError("x"))
