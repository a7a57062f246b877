"""The prebuilt stack with each choice about cold starts, deployed: what the twin's records say of real requests."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from onnx_inference.local import Clock, HostLimits, LoadPlan, LoadSummary, LocalTwin
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def twin():
    limits = HostLimits(idle_seconds=400)
    with LocalTwin(clock=Clock(speed=0, start=START), limits=limits) as twin:
        yield twin


def deploy(twin, **context):
    """The stack anew; answers the name of its function."""
    twin.destroy()
    twin.deploy(directory=REPOSITORY, stacks=["Realtime"], context=context)
    return twin.outputs()["FunctionName"]


def living(twin, function):
    return [record for record in twin.environments(function) if record.ended_at is None]


def values(twin, metric, function):
    return [value for datum in twin.metrics(metric) if datum.function_name == function for value in datum.values]


def test_the_warmer_keeps_its_environments_and_requests_meet_them(twin):
    name = deploy(twin, cold_start="warmer", warmer_concurrency="2")
    assert wait_until(lambda: len(values(twin, "WarmerPingCold", name)) == 2)
    assert wait_until(lambda: [r.state for r in living(twin, name)] == ["idle", "idle"])
    for _ in range(2):
        # Longer together than an idle environment is kept.
        pinged = len(values(twin, "WarmerPingWarm", name))
        twin.clock.advance(300)
        assert wait_until(lambda pinged=pinged: len(values(twin, "WarmerPingWarm", name)) == pinged + 2)
    summary = LoadSummary.of(twin.load(LoadPlan(rate=10, seconds=1)))
    assert (summary.answered, summary.cold.count) == (10, 0)
    assert {firing.outcome for firing in twin.firings()} == {"delivered"}


def test_provisioned_environments_are_there_before_requests_and_the_rest_spills_over(twin):
    name = deploy(twin, cold_start="provisioned")
    (record,) = living(twin, name)
    assert (record.initialization_type, record.state, record.provisioned_for) == (
        "provisioned-concurrency",
        "idle",
        "live",
    )
    summary = LoadSummary.of(twin.load(LoadPlan(rate=4, seconds=1)))
    assert (summary.answered, summary.cold.count, summary.spillovers) == (4, 0, 0)
    summary = LoadSummary.of(twin.load(LoadPlan(rate=1000, seconds=0.02)))
    assert summary.answered == 20
    assert summary.cold.count > 0
    assert summary.spillovers >= summary.cold.count


def test_environments_are_restored_from_the_versions_snapshot(twin):
    name = deploy(twin, cold_start="snap-start")
    (record,) = living(twin, name)
    assert (record.initialization_type, record.state) == ("snap-start", "snapshot")
    result = twin.load(LoadPlan(rate=4, seconds=1))
    summary = LoadSummary.of(result)
    assert summary.answered == 4
    cold = [sample.invocation for sample in result.samples if sample.cold]
    assert cold
    assert all(i.restore_duration_ms and i.init_duration_ms is None for i in cold)
    assert {r.initialization_type for r in living(twin, name)} == {"snap-start"}
