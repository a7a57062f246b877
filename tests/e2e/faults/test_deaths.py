"""A job whose worker dies, at each call of AWS that it makes: a client that polls gets an answer by the deadline."""

import itertools
import time

import numpy as np
import pytest
from click.testing import CliRunner

from onnx_inference.cli import main
from tests.e2e.faults.job_runs import FINAL, MOST_DELIVERIES, STACK, VISIBILITY_SECONDS, WORKER, Watching

#: The calls of AWS that a worker makes for a small job: one when it starts it, one when it has ended.
CALLS = 2


@pytest.mark.parametrize(("call", "when"), list(itertools.product(range(1, CALLS + 1), ("before", "after"))))
def test_a_worker_that_dies_at_a_call(service, call, when):
    job = f"dies{call}{when}-1"
    service.set_visibility("JobsQueue", 4)
    service.set_most_deliveries(2)
    try:
        with service.functions_misbehaving(WORKER, die={"job": job, "call": call, "when": when}):
            service.begin()
            service.client().submit({"x": service.inputs(job, 7)}, id=job)
            watching = Watching(service.client(), job, 60)
            watching.join(timeout=65)
        service.judge(job, [job], may_fail=lambda _: True)
    finally:
        service.set_visibility("JobsQueue", VISIBILITY_SECONDS)
        service.set_most_deliveries(MOST_DELIVERIES)
    # Written before the process died, the answer counts; else the message came until the queue gave it up.
    assert watching.status == ("SUCCEEDED" if (call, when) == (CALLS, "after") else "FAILED")


def test_a_job_that_nobody_works_on_expires(service):
    mappings = service.twin.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    (mapping,) = [one for one in mappings if one["EventSourceArn"].endswith(service.queue_name)]
    service.twin.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        service.begin()
        job = "idle-1"
        service.client().submit({"x": service.inputs(job, 7)}, id=job, timeout=3)
        watching = Watching(service.client(), job, 30)
        watching.join(timeout=35)
        service.judge(job, [job], may_fail=lambda _: True)
    finally:
        service.twin.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert watching.status == "EXPIRED"
    assert watching.seconds < 15


def test_a_failed_job_is_redriven(service):
    """By the command, as a user would, once what killed the worker is mended."""
    job = "again-1"
    credentials = service.twin.credentials.environment()
    service.set_visibility("JobsQueue", 4)
    service.set_most_deliveries(2)
    try:
        with service.functions_misbehaving(WORKER, die={"job": job, "call": 2, "when": "before"}):
            service.client().submit({"x": service.inputs(job, 7)}, id=job)
            assert service.client().wait(job, timeout=60).status == "FAILED"
        service.drained("DeadLetterQueue")
        seen = CliRunner().invoke(main, ["redrive", STACK, "--dry-run"], env=credentials)
        assert f"would move {job}: the job was started" in seen.output
        done = CliRunner().invoke(main, ["redrive", STACK], env=credentials)
        assert done.exit_code == 0, done.output
        assert f"moved {job}" in done.output
    finally:
        service.set_visibility("JobsQueue", VISIBILITY_SECONDS)
        service.set_most_deliveries(MOST_DELIVERIES)
    deadline = time.monotonic() + 60
    while (status := service.client().status(job).status) != "SUCCEEDED":
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    np.testing.assert_array_equal(service.client().result(job).outputs[0].array, service.expected(job))
    finals = [new for _, new in service.history()[job] if new in FINAL]
    assert finals == ["FAILED", "SUCCEEDED"]
    assert f"left {job}" not in CliRunner().invoke(main, ["redrive", STACK], env=credentials).output
