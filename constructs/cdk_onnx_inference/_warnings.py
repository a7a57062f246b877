"""Ids of the warnings that the constructs give at synth. They are public API: users acknowledge warnings by them.

`Annotations.of(construct).acknowledge_warning(id)` silences one.
"""

from __future__ import annotations

from typing import Final

WEIGHTS_IN_GRAPH: Final = "cdk-onnx-inference:weights-in-graph"
"""A large model keeps its weights inside the graph file."""

PROCESSING_NOT_PARSED: Final = "cdk-onnx-inference:processing-not-parsed"
"""The processing file uses a syntax that is newer than the Python that synthesises."""

PUBLISHER_WITHOUT_S3: Final = "cdk-onnx-inference:publisher-without-s3"
"""The publisher of models seems to have no way to S3, and so none to answer CloudFormation."""

FUNCTION_OUTLIVES_API: Final = "cdk-onnx-inference:function-outlives-api"
"""The function may run on after the API has given the client up."""

API_LOG_ROLE: Final = "cdk-onnx-inference:api-log-role"
"""A REST API writes access logs, for which the account needs a role that this stack does not make."""

EXISTING_QUEUE: Final = "cdk-onnx-inference:existing-queue"
"""Something about a queue that the construct did not make cannot be checked."""

EXISTING_TABLE: Final = "cdk-onnx-inference:existing-table"
"""Something about a table that the construct did not make cannot be checked."""

EXISTING_BUCKET: Final = "cdk-onnx-inference:existing-bucket"
"""Nothing about a bucket that the construct did not make is checked."""

VISIBILITY_TIMEOUT: Final = "cdk-onnx-inference:visibility-timeout"
"""An existing queue gives a message back sooner than AWS recommends."""

NO_SECOND_ATTEMPT: Final = "cdk-onnx-inference:no-second-attempt"
"""A job is past its deadline before a failed attempt can be repeated."""

VPC_OF_JOBS: Final = "cdk-onnx-inference:vpc-of-jobs"
"""The worker runs in a VPC of the user's own, which must reach DynamoDB and S3."""

SECOND_WARMER: Final = "cdk-onnx-inference:second-warmer"
"""A warmer pings a function that has one by its `cold_start` already."""

INIT_PHASE: Final = "cdk-onnx-inference:init-phase"
"""A start takes longer than Lambda gives it."""

ACCOUNT_CONCURRENCY: Final = "cdk-onnx-inference:account-concurrency"
"""More provisioned concurrency than an account has unless AWS has raised its quota."""

CANARY_PROVISIONED: Final = "cdk-onnx-inference:canary-provisioned"
"""Traffic is split between two versions of an alias that has provisioned concurrency."""
