"""Names of the environment variables that the constructs write and the handler reads.

The handler has the same list (`onnx_handler.settings`), and a contract test compares the two. Neither side imports the
other, so that neither needs the other's dependencies.
"""

from __future__ import annotations

from typing import Final

MODEL_PATH: Final = "MODEL_PATH"
"""A directory with `model.onnx`, or an .onnx file: relative to the task root, or absolute on a mount."""

MODEL_OBJECTS: Final = "MODEL_OBJECTS"
"""JSON: the S3 objects of a model that is downloaded at cold start. It replaces `MODEL_PATH`."""

MODEL_CACHE_SIZE: Final = "MODEL_CACHE_SIZE"
"""MB of `/tmp` that downloaded models may take. Only with such models."""

MODELS: Final = "MODELS"
"""JSON: all models, if there are several. It replaces the variables of a single model."""

MODEL_NAME: Final = "MODEL_NAME"
"""The model's name in the Open Inference Protocol."""

MODEL_VERSION: Final = "MODEL_VERSION"
"""The model's version in the Open Inference Protocol: a decimal number."""

MODEL_DIGEST: Final = "MODEL_DIGEST"
"""`sha256:<hex>` of the model's files. A new model changes it, which publishes a new Lambda version."""

PROCESSING_PATH: Final = "PROCESSING_PATH"
"""The user's processing file, relative to the task root. Only if there is one."""

VERIFY_TARGET: Final = "VERIFY_TARGET"
"""ARN of the version or alias that a deployment hook tests. Only for hooks."""

VERIFY_GOLDENS: Final = "VERIFY_GOLDENS"
"""JSON: the golden samples that a deployment hook sends: their models, and where they are in S3. Only for hooks."""

METRICS_NAMESPACE: Final = "METRICS_NAMESPACE"
"""CloudWatch namespace of the metrics that the handler embeds in its log."""

ORT_DISABLE_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
"""Always `1`. Otherwise onnxruntime sends telemetry, and tries to write an id and a cache to a read-only disk."""

JOBS_TABLE_NAME: Final = "JOBS_TABLE_NAME"
"""The table with the records of jobs."""

JOBS_QUEUE_URL: Final = "JOBS_QUEUE_URL"
"""The queue for jobs."""

PAYLOAD_BUCKET_NAME: Final = "PAYLOAD_BUCKET_NAME"
"""The bucket for requests and results that are too large for the queue and the table."""

JOB_TIMEOUT: Final = "JOB_TIMEOUT"
"""Seconds from a job's submission to its deadline: the default, and the longest that a job may ask for."""

JOB_RETENTION: Final = "JOB_RETENTION"
"""Seconds that a job's record is kept after the deadline."""

PARKED_QUEUE_URL: Final = "PARKED_QUEUE_URL"
"""The queue that keeps the messages of failed jobs, so that they can be sent again."""

MODEL_SIGNATURES: Final = "MODEL_SIGNATURES"
"""The file with the models' signatures, relative to the task root. The job API checks requests against it."""

MICRO_BATCH_SIZE: Final = "MICRO_BATCH_SIZE"
"""Most rows that the worker puts into one run of the model. 1 runs every job by itself."""

OF_JOBS: Final = frozenset(
    {
        JOBS_TABLE_NAME,
        JOBS_QUEUE_URL,
        PAYLOAD_BUCKET_NAME,
        JOB_TIMEOUT,
        JOB_RETENTION,
        PARKED_QUEUE_URL,
        MODEL_SIGNATURES,
        MICRO_BATCH_SIZE,
    }
)
"""Only for the functions of `AsyncInference`."""

OF_HOOKS: Final = frozenset({VERIFY_TARGET, VERIFY_GOLDENS})
"""Only for the hooks of a deployment."""

NAMES: Final = (
    OF_JOBS
    | OF_HOOKS
    | frozenset(
        {
            MODEL_PATH,
            MODEL_OBJECTS,
            MODEL_CACHE_SIZE,
            MODELS,
            MODEL_NAME,
            MODEL_VERSION,
            MODEL_DIGEST,
            PROCESSING_PATH,
            METRICS_NAMESPACE,
            ORT_DISABLE_TELEMETRY,
        }
    )
)
"""All names. Users must not set them."""

SET_BY_LAMBDA: Final = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Reserved by Lambda. A deployment that sets one of them fails.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""
