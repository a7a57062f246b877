"""The life of execution environments: what the host's own records say, on a clock moved by hand."""

import json
import threading
import time
from datetime import UTC, datetime

import pytest

from onnx_inference.local import Clock
from onnx_inference.local.lambda_host.function_configuration import AliasRouting, DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.host import WARMER_SOURCE
from onnx_inference.local.lambda_host.invocation import SnapStartNotReady, TooManyRequests
from onnx_inference.local.lambda_host.pre_initialisation import InitFailed
from tests.support.waiting import wait_until

START = datetime(2027, 3, 1, tzinfo=UTC)
SNAP_START = {"SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}}


@pytest.fixture
def clock():
    return Clock(speed=0, start=START)


@pytest.fixture
def host(make_host, clock):
    return make_host(clock, idle_seconds=600)


def run(host, arn, event=None, **options):
    return json.loads(host.invoke(arn, json.dumps(event or {}).encode(), **options).payload)


def together(host, arn, count, event, **options):
    """Invocations that begin at the same time; the results in no order."""
    found = []
    barrier = threading.Barrier(count)

    def one():
        barrier.wait()
        found.append(run(host, arn, event, **options))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def ping(hold_ms=1500):
    return {"source": WARMER_SOURCE, "hold_ms": hold_ms, "touch": False}


def test_a_life_is_recorded_from_its_init_to_its_idle_expiry(host, deployed, clock):
    arn = deployed.add("f", "handlers.hold")
    run(host, arn, kind="request")
    clock.advance(120)
    run(host, arn, ping(0))
    clock.advance(60)
    run(host, FunctionArn(arn.account, arn.region, "f", "1"), {"any": "thing"})
    (record,) = host.environment_records("f")
    assert record.state == "idle"
    assert (record.initialization_type, record.provisioned_for, record.function_version) == ("on-demand", None, "1")
    assert record.created_at == record.ready_at == START
    assert record.init_duration_ms > 0
    assert record.log_stream.endswith(record.id)
    assert [(span.kind, span.cold, span.status) for span in record.busy] == [
        ("request", True, "success"),
        ("ping", False, "success"),
        ("other", False, "success"),
    ]
    assert [(span.started_at - START).total_seconds() for span in record.busy] == [0, 120, 180]
    assert [(s.ended_at - s.started_at).total_seconds() for s in record.idle[:2]] == [120, 60]
    assert record.idle[-1].ended_at is None
    clock.advance(599)
    time.sleep(0.1)
    assert host.environment_records("f")[0].state == "idle"
    clock.advance(200)
    assert wait_until(lambda: host.environment_records("f")[0].state == "ended")
    (record,) = host.environment_records("f")
    assert record.end_cause == "idle expiry"
    assert 600 <= (record.ended_at - record.idle[-1].started_at).total_seconds() <= 600 + 200
    assert host.environments() == []


def test_pings_at_once_keep_as_many_environments_and_requests_then_meet_warm_ones(host, deployed, clock):
    arn = deployed.add("f", "handlers.hold")
    met = together(host, arn, 3, ping())
    assert len({answer["pid"] for answer in met}) == 3
    for _ in range(3):
        # Together longer than the idle time: it is the pings that keep them.
        clock.advance(300)
        time.sleep(0.05)
        assert {answer["pid"] for answer in together(host, arn, 3, ping(400))} == {answer["pid"] for answer in met}
    together(host, arn, 3, {"hold_ms": 400}, kind="request")
    records = host.environment_records("f")
    assert len(records) == 3
    spans = [span for record in records for span in record.busy]
    assert sum(span.cold for span in spans) == 3
    assert all(span.kind == "ping" for span in spans if span.cold)
    assert not any(span.cold for span in spans if span.kind == "request")


def test_pings_one_after_another_keep_one_environment_only(host, deployed):
    """Why they are to be delivered together, and held."""
    arn = deployed.add("f", "handlers.hold")
    for _ in range(3):
        run(host, arn, ping(0))
    assert len(host.environment_records("f")) == 1
    together(host, arn, 2, {"hold_ms": 400}, kind="request")
    assert sum(s.cold for r in host.environment_records("f") for s in r.busy if s.kind == "request") == 1


def test_provisioned_environments_serve_first_and_the_next_request_spills_over(host, deployed, clock):
    arn = deployed.add("f", "handlers.hold", provisioned=2)
    host.provision([arn])
    before = host.environment_records("f")
    assert [(r.initialization_type, r.provisioned_for, r.state) for r in before] == [
        ("provisioned-concurrency", "live", "idle")
    ] * 2
    together(host, arn, 2, {"hold_ms": 500})
    assert not any(record.cold_start or record.spillover for record in host.records())
    types = sorted(answer["type"] for answer in together(host, arn, 3, {"hold_ms": 1000}))
    assert types == ["on-demand", "provisioned-concurrency", "provisioned-concurrency"]
    (spilled,) = [record for record in host.records() if record.spillover]
    assert spilled.cold_start
    # Idle expiry takes the one on demand, never the provisioned ones.
    clock.advance(2000)
    assert wait_until(lambda: len(host.environments()) == 2)
    assert [r.end_cause for r in host.environment_records("f")] == [None, None, "idle expiry"]


def test_provisioned_environments_serve_their_alias_only(host, deployed):
    arn = deployed.add("f", "handlers.hold", provisioned=1)
    host.provision([arn])
    assert run(host, FunctionArn(arn.account, arn.region, "f", "1"))["type"] == "on-demand"
    assert not host.records()[-1].spillover
    assert run(host, arn)["type"] == "provisioned-concurrency"


def test_scaling_in_stops_what_is_idle_and_then_what_comes_back(host, deployed):
    arn = deployed.add("f", "handlers.hold", provisioned=2)
    host.provision([arn])
    before = deployed.functions["f"]
    busy = threading.Thread(target=run, args=(host, arn, {"hold_ms": 800}))
    busy.start()
    assert wait_until(lambda: any(r.state == "busy" for r in host.environment_records("f")))
    deployed.functions["f"] = DeployedFunction(before.configurations, before.aliases, None, {})
    host.provision([arn])
    assert [r.end_cause for r in host.environment_records("f")].count("scaled in") == 1
    busy.join()
    assert [r.end_cause for r in host.environment_records("f")] == ["scaled in", "scaled in"]
    assert [r.status for r in host.records()] == ["success"]


def test_a_provisioned_environment_that_was_killed_is_made_up_for(host, deployed):
    arn = deployed.add("f", "handlers.hold", provisioned=1, Timeout=1)
    host.provision([arn])
    assert "timed out" in run(host, arn, {"hold_ms": 5000})["errorMessage"]
    assert wait_until(lambda: [r.state for r in host.environment_records("f")] == ["ended", "idle"])
    killed, new = host.environment_records("f")
    assert (killed.end_cause, killed.busy[0].status) == ("timeout", "timeout")
    assert new.provisioned_for == "live"
    assert run(host, arn)["type"] == "provisioned-concurrency"


def test_provisioned_environments_that_cannot_be_initialised_are_an_error(host, deployed):
    arn = deployed.add("f", "broken.handler", provisioned=2)
    with pytest.raises(InitFailed, match="f:live: RuntimeError: no model here"):
        host.provision([arn])
    assert {r.end_cause for r in host.environment_records("f")} == {"init failed"}
    assert host.environments() == []


def test_refused_invocations_are_recorded(host, deployed):
    with pytest.raises(TooManyRequests):
        run(host, deployed.add("f", "handlers.hold", reserved=0))
    (throttle,) = host.throttles("f")
    assert throttle.at == START


def test_environments_of_an_old_version_are_replaced(host, deployed):
    arn = deployed.add("f", "handlers.hold")
    run(host, arn)
    before = deployed.functions["f"]
    without = {name: config for name, config in before.configurations.items() if name != "1"}
    deployed.functions["f"] = DeployedFunction(without, {"live": AliasRouting("2")}, None, {})
    host.retain([arn])
    run(host, arn)
    host.retain([arn])
    assert [(r.function_version, r.end_cause) for r in host.environment_records("f")] == [
        ("1", "replaced"),
        ("2", None),
    ]


def test_a_crash_and_the_end_of_the_host_are_causes(host, deployed):
    arn = deployed.add("f", "handlers.leave")
    host.invoke(arn, b"{}")
    run(host, deployed.add("g", "handlers.hold"))
    host.close()
    assert [(r.function_name, r.end_cause) for r in host.environment_records()] == [("f", "exited"), ("g", "stopped")]


# -- SnapStart ------------------------------------------------------------------------------------------------------


def snapshot(host, deployed, arn):
    host.snapshot(deployed.functions[arn.name].configurations["1"])


def test_environments_are_restored_from_a_process_initialised_ahead(host, deployed):
    arn = deployed.add("f", "snapshot.handler", **SNAP_START)
    snapshot(host, deployed, arn)
    (ahead,) = host.environment_records("f")
    assert (ahead.state, ahead.initialization_type) == ("snapshot", "snap-start")
    assert ahead.init_duration_ms > 0
    answer = run(host, arn)
    assert answer == {"happened": ["import", "before", "after"], "pid": answer["pid"], "type": "snap-start"}
    first = host.records()[-1]
    assert (first.cold_start, first.init_duration_ms) == (True, None)
    assert first.restore_duration_ms >= 50
    assert "Restore Duration" in first.report()
    assert "Init Duration" not in first.report()
    assert run(host, arn)["pid"] == answer["pid"]
    assert host.records()[-1].restore_duration_ms is None
    # The next environment's process is made ahead too.
    assert wait_until(lambda: [r.state for r in host.environment_records("f")] == ["idle", "snapshot"])
    restored = host.environment_records("f")[0]
    assert restored.restore_duration_ms == first.restore_duration_ms


def test_every_new_environment_is_restored_and_latest_is_not(host, deployed):
    arn = deployed.add("f", "snapshot.handler", **SNAP_START)
    snapshot(host, deployed, arn)
    answers = together(host, arn, 3, {"hold_ms": 1500})
    assert len({answer["pid"] for answer in answers}) == 3
    assert all(answer["happened"][-1] == "after" for answer in answers)
    assert all(record.restore_duration_ms for record in host.records())
    latest = run(host, FunctionArn(arn.account, arn.region, "f"))
    assert (latest["type"], latest["happened"]) == ("on-demand", ["import"])


@pytest.mark.parametrize(("command", "fails"), [("broken.handler", ""), ("snapshot.handler", "before")])
def test_a_snapshot_that_cannot_be_made_is_an_error(host, deployed, command, fails):
    arn = deployed.add("f", command, Environment={"Variables": {"FAIL": fails}}, **SNAP_START)
    with pytest.raises(InitFailed, match="f version 1: RuntimeError: no"):
        snapshot(host, deployed, arn)
    assert [r.end_cause for r in host.environment_records("f")] == ["init failed"]


def test_a_hook_that_fails_after_the_restore_is_the_invocations_error(host, deployed):
    arn = deployed.add("f", "snapshot.handler", Environment={"Variables": {"FAIL": "after"}}, **SNAP_START)
    snapshot(host, deployed, arn)
    assert run(host, arn)["errorMessage"] == "not after this restore"
    assert host.records()[-1].status == "init_error"
    assert host.environment_records("f")[0].end_cause == "init failed"


def test_a_version_without_its_snapshot_is_not_ready(host, deployed):
    arn = deployed.add("f", "snapshot.handler", State="Pending", **SNAP_START)
    with pytest.raises(SnapStartNotReady):
        run(host, arn)
