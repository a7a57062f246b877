"""Ids of the warnings at synth. They are public API, because users acknowledge warnings by their ids.

`Annotations.of(construct).acknowledge_warning(id)` silences one.
"""

from __future__ import annotations

from typing import Final

WEIGHTS_IN_GRAPH: Final = "cdk-onnx-inference:weights-in-graph"
"""A large model keeps its weights inside the graph file."""

PROCESSING_NOT_PARSED: Final = "cdk-onnx-inference:processing-not-parsed"
"""The Python that synthesises cannot parse the processing file."""

PUBLISHER_WITHOUT_S3: Final = "cdk-onnx-inference:publisher-without-s3"
"""The publisher of models seems to have no route to S3, which it also needs to answer CloudFormation."""

FUNCTION_OUTLIVES_API: Final = "cdk-onnx-inference:function-outlives-api"
"""The function may run longer than the API waits for it."""

API_LOG_ROLE: Final = "cdk-onnx-inference:api-log-role"
"""The access logs of a REST API need a role of the account, which this stack does not make."""

EXISTING_QUEUE: Final = "cdk-onnx-inference:existing-queue"
"""An existing queue cannot be checked in full."""

EXISTING_TABLE: Final = "cdk-onnx-inference:existing-table"
"""An existing table cannot be checked in full."""

EXISTING_BUCKET: Final = "cdk-onnx-inference:existing-bucket"
"""An existing bucket is not checked."""

VISIBILITY_TIMEOUT: Final = "cdk-onnx-inference:visibility-timeout"
"""The visibility timeout of an existing queue is shorter than AWS recommends."""

NO_SECOND_ATTEMPT: Final = "cdk-onnx-inference:no-second-attempt"
"""A job expires before an attempt that crashed can be repeated."""

VPC_OF_JOBS: Final = "cdk-onnx-inference:vpc-of-jobs"
"""The worker runs in a VPC of the user, which needs routes to DynamoDB and S3."""

SECOND_WARMER: Final = "cdk-onnx-inference:second-warmer"
"""The function has a warmer by its `cold_start` already."""

INIT_PHASE: Final = "cdk-onnx-inference:init-phase"
"""A start takes longer than Lambda's init phase."""

ACCOUNT_CONCURRENCY: Final = "cdk-onnx-inference:account-concurrency"
"""There is more provisioned concurrency than an account has by default."""

CANARY_PROVISIONED: Final = "cdk-onnx-inference:canary-provisioned"
"""Traffic is shifted in steps on an alias with provisioned concurrency."""
