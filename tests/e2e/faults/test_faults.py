"""Jobs through failures of every kind: at the end each has its one right answer, or a true reason why it has none.

ONNX_INFERENCE_FAULT_JOBS says how many jobs a run has; the default keeps the suite short.
"""

import time

import pytest

from tests.e2e.faults.fault_proxy import Faults
from tests.e2e.faults.job_runs import JOBS, VISIBILITY_SECONDS, WORKER

SECONDS = 90 + JOBS * 0.15


def nobody(job):
    return False


def anybody(job):
    return True


def run(service, name, *, may_fail=nobody, large_every=40, count=JOBS):
    service.begin()
    ids = service.submit(name, count, large_every=large_every)
    service.finish(ids, SECONDS)
    return service.judge(name, ids, may_fail=may_fail)


def test_without_faults_everybody_is_told(service):
    service.told()
    verdict = run(service, "calm")
    assert verdict.statuses == {"SUCCEEDED": JOBS}
    told = {}
    deadline = time.monotonic() + 30 + JOBS * 0.05
    while len(told) < JOBS and time.monotonic() < deadline:
        told.update(service.told())
        time.sleep(0.1)
    assert told == {(f"calm-{number}", "SUCCEEDED"): 1 for number in range(JOBS)}
    service.drained("JobsQueue", "DeadLetterQueue")


def test_workers_killed_at_random(service):
    with service.functions_misbehaving(WORKER, kill_rate=0.05, seed=1):
        verdict = run(service, "killed", may_fail=anybody)
    assert verdict.statuses["SUCCEEDED"] >= 0.98 * JOBS


def test_duplicate_deliveries(service):
    service.begin()
    ids = service.submit("twice")
    for job in ids:
        if not service.is_large(job):
            for _ in range(2):
                service.sqs.send_message(QueueUrl=service.outputs["JobsQueue"], MessageBody=service.message(job))
    service.finish(ids, SECONDS)
    service.drained("JobsQueue", seconds=SECONDS)
    verdict = service.judge("twice", ids, may_fail=nobody)
    assert verdict.statuses == {"SUCCEEDED": JOBS}


def test_a_table_that_throttles_fails_and_loses_answers(service, proxy):
    with proxy.misbehaving(dynamodb=Faults(throttled=0.08, failed=0.05, lost=0.05, delayed=0.02)):
        verdict = run(service, "table", may_fail=anybody)
    print({name: count for name, count in proxy.counts.items() if name.startswith("dynamodb")})
    assert proxy.counts["dynamodb lost"] > 0
    assert verdict.statuses["SUCCEEDED"] >= 0.98 * JOBS


def test_a_bucket_that_fails(service, proxy):
    with proxy.misbehaving(s3=Faults(throttled=0.15, failed=0.1, lost=0.1)):
        verdict = run(service, "bucket", large_every=5)
    assert proxy.counts["s3 lost"] > 0
    assert set(verdict.statuses) == {"SUCCEEDED"}


def test_a_queue_that_refuses_what_is_sent(service, proxy):
    with proxy.misbehaving(sqs=Faults(throttled=0.1, failed=0.1, lost=0.1)):
        verdict = run(service, "queue")
    assert proxy.counts["sqs lost"] > 0
    assert set(verdict.statuses) == {"SUCCEEDED"}


@pytest.mark.parametrize("minutes", [5, -5])
def test_a_workers_clock_that_is_off(service, minutes):
    name = "fast" if minutes > 0 else "slow"
    with service.functions_misbehaving(WORKER, skew_seconds=60.0 * minutes):
        verdict = run(service, name)
    assert verdict.statuses == {"SUCCEEDED": JOBS}


def test_poison_harms_nobody_else(service):
    """One job in a hundred ends the worker's process whenever it is started."""
    service.begin()
    with service.functions_misbehaving(WORKER, die={"job": "poison", "call": 2, "when": "before"}):
        ids = service.submit("venom", large_every=0)
        bad = [f"venom-poison-{number}" for number in range(max(1, JOBS // 100))]
        for number, job in enumerate(bad):
            service.client().submit({"x": service.inputs(job, number)}, id=job)
        service.finish([*ids, *bad], SECONDS + 60)
    verdict = service.judge("venom", [*ids, *bad], may_fail=lambda job: job in bad)
    assert verdict.statuses["FAILED"] == len(bad)


def test_a_storm_of_redeliveries(service, proxy):
    """Messages come again while they are being worked on."""
    service.set_visibility("JobsQueue", 1)
    try:
        with proxy.misbehaving(dynamodb=Faults(delayed=0.15, delay_seconds=0.7)):
            verdict = run(service, "storm", may_fail=anybody)
    finally:
        service.set_visibility("JobsQueue", VISIBILITY_SECONDS)
    assert verdict.statuses["SUCCEEDED"] > 0
