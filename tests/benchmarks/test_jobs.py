"""The benchmark of jobs runs and reports; what it finds is no test's subject."""

from __future__ import annotations

import pytest

from benchmarks.jobs.__main__ import MICRO, WAYS, WRITES_PER_JOB, measured, report
from tests.support import models

SET = (
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "JOBS_TABLE_NAME",
    "MICRO_BATCH_SIZE",
    "MODEL_PATH",
    "PAYLOAD_BUCKET_NAME",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET:
        monkeypatch.setenv(name, "1")  # so that what the benchmark sets is put back


def test_it_measures_every_way_and_writes_every_job() -> None:
    samples, writes = measured(models.matmul(), (4,), 1, 40, 0.0)
    assert samples.keys() == WAYS.keys()
    assert writes == 2 * 40  # each is marked as running, and then as done
    lines = report(samples).splitlines()
    assert len(lines) == 2 + len(WAYS)
    assert f"| {MICRO} |" in lines[-1]
    assert f"${0.625 * WRITES_PER_JOB:.2f}" in lines[-1]
