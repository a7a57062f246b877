"""Codes of problems and ids of warnings are public: each is listed here, documented and tested."""

from __future__ import annotations

import re

import pytest

from cdk_onnx_inference import _warnings
from tests.support.synth import ROOT

SOURCES = [*(ROOT / "constructs").rglob("*.py"), *(ROOT / "stacks").rglob("*.py")]
TESTS = [path for part in ("constructs", "stacks") for path in (ROOT / "tests" / part).rglob("test_*.py")]

CODES = [
    "alarm-duplicate",
    "alarm-threshold",
    "alarm-unknown",
    "alias-weights",
    "api-has-jobs",
    "api-options",
    "api-timeout-range",
    "auth-unsupported",
    "batch-size-range",
    "batching-window-missing",
    "batching-window-range",
    "canary-duplicate",
    "canary-provisioned-scaling",
    "cold-start-type",
    "context-key",
    "context-value",
    "cors-origins",
    "cors-unsupported",
    "dead-letter-queue-alone",
    "dead-letter-queue-missing",
    "environment-name",
    "environment-reserved",
    "environment-too-large",
    "ephemeral-storage-range",
    "ephemeral-storage-too-small",
    "event-source-unsupported",
    "goldens-invalid",
    "goldens-missing",
    "goldens-processing",
    "goldens-unknown",
    "image-digest",
    "image-file-collision",
    "image-too-large",
    "init-exceeds-timeout",
    "job-retention-range",
    "job-timeout-range",
    "job-timeout-too-short",
    "jwt-audience",
    "jwt-issuer",
    "keep-versions-range",
    "max-concurrency-over-reserved",
    "max-concurrency-range",
    "memory-size-range",
    "memory-too-small",
    "metrics-namespace",
    "micro-batch-size-range",
    "model-digest-mismatch",
    "model-duplicate",
    "model-file-collision",
    "model-git-lfs-pointer",
    "model-ir-version",
    "model-manifest",
    "model-missing",
    "model-mounts",
    "model-name",
    "model-not-onnx",
    "model-opset",
    "model-parts",
    "model-prefix",
    "model-too-large",
    "model-version",
    "model-weights-cut-off",
    "model-weights-missing",
    "model-weights-outside",
    "mount-path",
    "processing-functions",
    "processing-missing",
    "processing-name",
    "processing-requirements",
    "processing-syntax",
    "provisioned-excluded",
    "provisioned-over-account",
    "provisioned-over-reserved",
    "provisioned-range",
    "provisioned-schedule",
    "provisioned-statistic",
    "provisioned-target-range",
    "queue-fifo",
    "queue-message-size",
    "queue-receive-count",
    "queue-retention",
    "queue-visibility-timeout",
    "reason-missing",
    "reserved-concurrency-range",
    "snap-start-ephemeral-storage",
    "snap-start-file-system",
    "snap-start-region",
    "stage-name",
    "table-misfit",
    "table-stream-missing",
    "tenant-isolation",
    "throttle-burst",
    "throttle-rate",
    "timeout-range",
    "traffic-shift-interval",
    "traffic-shift-percentage",
    "vpc-missing",
    "vpc-of-file-system",
    "warmer-concurrency-range",
    "warmer-excluded",
    "warmer-hold-range",
    "warmer-hold-timeout",
    "warmer-hours",
    "warmer-interval",
    "warmer-over-reserved",
    "warmer-time-zone",
    "warmer-trigger",
    "worker-timeout-unresolved",
]


def test_codes_are_listed() -> None:
    """A code leaves this list only with a major version."""
    constructor = re.compile(
        r"(?:Problem|(?<!reader\.)whole_number|whole_units|over_reserved|_period|positive|not_empty)\(\s*\"([a-z-]+)\"|self\._problems\.append\(Problem\(\"([a-z-]+)\""
    )
    found = {name for path in SOURCES for match in constructor.findall(path.read_text()) for name in match if name}
    assert sorted(found) == CODES


@pytest.mark.parametrize("code", CODES)
def test_code_is_tested(code: str) -> None:
    assert any(f'"{code}"' in path.read_text() for path in TESTS)


@pytest.mark.parametrize("code", CODES)
def test_code_is_documented(code: str) -> None:
    assert any(f"`{code}`" in path.read_text() for path in SOURCES)


def test_warnings_are_listed() -> None:
    """An id leaves this list only with a major version: users acknowledge warnings by it."""
    ids = sorted(value for name, value in vars(_warnings).items() if name.isupper())
    assert ids == [
        "cdk-onnx-inference:account-concurrency",
        "cdk-onnx-inference:api-log-role",
        "cdk-onnx-inference:canary-provisioned",
        "cdk-onnx-inference:existing-bucket",
        "cdk-onnx-inference:existing-queue",
        "cdk-onnx-inference:existing-table",
        "cdk-onnx-inference:function-outlives-api",
        "cdk-onnx-inference:init-phase",
        "cdk-onnx-inference:no-second-attempt",
        "cdk-onnx-inference:processing-not-parsed",
        "cdk-onnx-inference:publisher-without-s3",
        "cdk-onnx-inference:second-warmer",
        "cdk-onnx-inference:visibility-timeout",
        "cdk-onnx-inference:vpc-of-jobs",
        "cdk-onnx-inference:weights-in-graph",
    ]
    assert [name for name in ids if not any(name in path.read_text() for path in TESTS)] == []
