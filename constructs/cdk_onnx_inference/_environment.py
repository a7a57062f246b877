"""Names of the environment variables that the constructs write and the handler reads.

The handler has the same list (`onnx_handler.settings`); a contract test holds the two equal. Neither side imports the
other, because neither's dependencies belong on the other's machine.
"""

from __future__ import annotations

from typing import Final

MODEL_PATH: Final = "MODEL_PATH"
"""A directory with `model.onnx`, or an .onnx file; relative to the task root, or absolute below a mount."""

MODEL_OBJECTS: Final = "MODEL_OBJECTS"
"""JSON: the S3 objects of a model that is downloaded at cold start. It takes the place of `MODEL_PATH`."""

MODEL_CACHE_SIZE: Final = "MODEL_CACHE_SIZE"
"""Most that downloaded models may take below `/tmp`, in MB. Present with models that are downloaded."""

MODELS: Final = "MODELS"
"""JSON: the models, when there are several. It takes the place of the variables of a single model."""

MODEL_NAME: Final = "MODEL_NAME"
"""Name of the model in the Open Inference Protocol."""

MODEL_VERSION: Final = "MODEL_VERSION"
"""Version of the model in the Open Inference Protocol: a decimal string."""

MODEL_DIGEST: Final = "MODEL_DIGEST"
"""`sha256:<hex>` of the model's files. A new model changes it, and thereby publishes a new Lambda version."""

PROCESSING_PATH: Final = "PROCESSING_PATH"
"""The user's processing file, relative to the task root. Absent when there is none."""

VERIFY_TARGET: Final = "VERIFY_TARGET"
"""ARN of the version or alias that a deployment hook asks. On hooks only."""

VERIFY_GOLDENS: Final = "VERIFY_GOLDENS"
"""JSON: whose golden samples a deployment hook sends, and where they are in S3. On hooks only."""

METRICS_NAMESPACE: Final = "METRICS_NAMESPACE"
"""CloudWatch namespace of the metrics that the handler embeds in its log."""

ORT_DISABLE_TELEMETRY: Final = "ORT_DISABLE_TELEMETRY"
"""Always `1`: onnxruntime on Linux otherwise reports home, and writes an id and a cache to a read-only disk."""

JOBS_TABLE_NAME: Final = "JOBS_TABLE_NAME"
"""The table with the job records."""

JOBS_QUEUE_URL: Final = "JOBS_QUEUE_URL"
"""The queue that jobs are put on."""

PAYLOAD_BUCKET_NAME: Final = "PAYLOAD_BUCKET_NAME"
"""The bucket for request bodies and results that are too large for the queue and the table."""

JOB_TIMEOUT: Final = "JOB_TIMEOUT"
"""Seconds from a job's submission to its deadline: the default, and the most that a job may ask for."""

JOB_RETENTION: Final = "JOB_RETENTION"
"""Seconds that a job's record is kept after its deadline."""

PARKED_QUEUE_URL: Final = "PARKED_QUEUE_URL"
"""The queue that keeps the messages of failed jobs, to be sent again."""

MODEL_SIGNATURES: Final = "MODEL_SIGNATURES"
"""The file with the models' signatures, relative to the task root, by which the job API checks requests."""

MICRO_BATCH_SIZE: Final = "MICRO_BATCH_SIZE"
"""Most rows that the worker puts into one run of the model; 1 runs every job by itself."""

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
"""What functions of async inference have, and no others."""

OF_HOOKS: Final = frozenset({VERIFY_TARGET, VERIFY_GOLDENS})
"""What the hooks of a deployment have, and no others."""

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
"""Every name of the contract. A user's own environment must not contain one of them."""

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
"""Reserved by Lambda: a deployment that sets one fails.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""
