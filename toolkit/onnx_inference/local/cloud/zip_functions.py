"""Functions that are not images: MiniStack runs them."""

import time
import uuid
from datetime import UTC, datetime

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult


def invoke_zip(cloud: EmbeddedCloud, arn: FunctionArn, payload: bytes) -> InvocationResult:
    """Run one invocation through the cloud's API. Its record has no init phase and no memory.

    Args:
        cloud: The running cloud.
        arn: The function, with the alias or version it is invoked by.
        payload: The event.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    client = cloud.client("lambda", account=arn.account, region=arn.region)
    answer = client.invoke(FunctionName=str(arn), Payload=payload)
    error = answer.get("FunctionError")
    record = InvocationRecord(
        request_id=str(uuid.uuid4()),
        invoked_function_arn=str(arn),
        function_name=arn.name,
        function_version=str(answer.get("ExecutedVersion", "$LATEST")),
        started_at=started_at,
        cold_start=False,
        init_duration_ms=None,
        duration_ms=(time.perf_counter() - started) * 1000,
        queued_ms=0.0,
        memory_size_mb=0,
        max_memory_used_mb=0,
        status="success" if error is None else "error",
        error_type=error,
        log_stream="",
    )
    return InvocationResult(answer["Payload"].read(), error, record)
