"""Schedules, rules, scaling and SnapStart as deployed: what happens on the twin's clock, by its own records."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from onnx_inference.local import Clock, DeploymentError, LocalTwin
from tests.support.cdk_app import synthesise
from tests.support.waiting import wait_until

#: The Saturday before the clocks go forward in Berlin, at 5 o'clock there.
START = datetime(2027, 3, 27, 4, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def assembly(twin_app, tmp_path_factory):
    return synthesise(twin_app, tmp_path_factory.mktemp("warm") / "cdk.out", command="python warm.py", tracking="yes")


@pytest.fixture(scope="module")
def twin(assembly):
    with LocalTwin(clock=Clock(speed=0, start=START)) as twin:
        twin.deploy(assembly=assembly)
        yield twin


def name_of(twin, function):
    return twin.outputs()[f"{function}Name"]


def advance_to(twin, moment):
    twin.clock.advance(moment.timestamp() - twin.clock.time())


def together(twin, function, count, hold_ms):
    event = json.dumps({"hold_ms": hold_ms}).encode()
    name = name_of(twin, function)
    threads = [
        threading.Thread(target=twin.invoke, args=(name, event), kwargs={"qualifier": "live"}) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_is_deployed_and_run_is_not_named_as_recorded_only(twin):
    assert not [e for e in twin.recorded_only() if "AutoScaling" in e.resource_type or "Schedule" in e.resource_type]
    assert twin.refused_schedules() == {}


def test_schedules_ping_at_once_and_keep_as_many_environments(twin):
    """Rates of Scheduler are due when they are made; two of them meet two environments."""
    warmed = name_of(twin, "Warmed")
    assert wait_until(lambda: len(twin.firings("ping-0")) == len(twin.firings("ping-1")) == 1)
    for count in (2, 3):
        twin.clock.advance(300)
        assert wait_until(lambda count=count: len(twin.firings("ping-0")) == len(twin.firings("ping-1")) == count)
    records = twin.environments(warmed)
    assert len(records) == 2
    spans = [span for record in records for span in record.busy]
    assert [span.kind for span in spans] == ["ping"] * 6
    assert [record.busy[0].cold for record in records] == [True, True]
    assert sum(span.cold for span in spans) == 2
    together(twin, "Warmed", 2, 300)
    assert not any(invocation.cold_start for invocation in twin.invocations(warmed)[-2:])
    assert twin.firings("off") == []


def test_a_firing_says_when_it_was_due_and_what_came_of_it(twin):
    assert wait_until(lambda: len(twin.firings("ping-0")) >= 3)
    firings = twin.firings("ping-0")[:3]
    assert [(f.kind, f.due_at, f.outcome, f.attempts) for f in firings] == [
        ("schedule", START + timedelta(minutes=5 * n), "delivered", 1) for n in range(3)
    ]
    assert firings[0].target.endswith(":live")
    (invocation,) = [i for i in twin.invocations() if i.request_id == firings[0].request_id]
    assert (invocation.kind, invocation.invoked_function_arn) == ("ping", firings[0].target)


def test_a_rule_delivers_to_each_of_its_targets_once(twin):
    advance_to(twin, START + timedelta(minutes=10))
    assert wait_until(lambda: len(twin.firings("rule")) == 2)
    assert {f.due_at for f in twin.firings("rule")} == {START + timedelta(minutes=10)}
    spans = [span for record in twin.environments(name_of(twin, "Ruled")) for span in record.busy]
    assert [span.kind for span in spans] == ["ping", "ping"]


def test_provisioned_concurrency_is_there_before_the_first_request(twin):
    name = name_of(twin, "Provisioned")
    (record,) = twin.environments(name)
    assert (record.initialization_type, record.state, record.busy) == ("provisioned-concurrency", "idle", ())
    together(twin, "Provisioned", 2, 1000)
    assert sorted(i.cold_start for i in twin.invocations(name)) == [False, True]
    assert [i.spillover for i in twin.invocations(name) if i.cold_start] == [True]


def test_other_targets_get_their_events_too(twin):
    advance_to(twin, START + timedelta(minutes=30))
    assert wait_until(lambda: twin.firings("to-queue"))
    queue = twin.outputs()["QueueUrl"]
    (message,) = twin.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["time"]) == ("aws.events", "2027-03-27T04:30:00Z")


def test_idle_environments_expire_when_nothing_keeps_them(twin):
    together(twin, "Ruled", 3, 600)
    ruled = name_of(twin, "Ruled")
    assert sum(record.state == "idle" for record in twin.environments(ruled)) >= 3
    for _ in range(3):
        twin.clock.advance(300)
        time.sleep(0.2)
    assert wait_until(lambda: "idle expiry" in [r.end_cause for r in twin.environments(ruled)])
    # The schedules have pinged all the while, and those environments live on.
    warmed = name_of(twin, "Warmed")
    assert wait_until(lambda: sum(record.state == "idle" for record in twin.environments(warmed)) >= 2)


def test_daily_times_follow_the_clocks_of_their_time_zone(twin):
    """Across the night in which clocks go forward: 8 o'clock comes an hour of UTC earlier."""
    name = name_of(twin, "Provisioned")

    def provisioned():
        records = twin.environments(name)
        return sum(r.provisioned_for == "live" and r.state in ("idle", "busy") for r in records)

    def act(local, expected):
        # In steps: the twin's own time stands still while environments start.
        advance_to(twin, local)
        assert wait_until(lambda: provisioned() == expected), local

    for day in (27, 28):
        act(datetime(2027, 3, day, 8, 0, tzinfo=BERLIN), 2)
        act(datetime(2027, 3, day, 20, 0, tzinfo=BERLIN), 1)
    mornings = [datetime(2027, 3, 27, 7, 0, tzinfo=UTC), datetime(2027, 3, 28, 6, 0, tzinfo=UTC)]
    assert wait_until(lambda: [f.due_at for f in twin.firings("morning")] == mornings)
    # The clock leapt over many a ping; those are too old for the one minute that their schedules allow them.
    assert any(f.outcome.startswith("dropped: older") for f in twin.firings("ping-0"))
    changes = [(change.at, change.before, change.after) for change in twin.scaling() if change.cause.endswith("Open")]
    assert changes == [(morning, 1, 2) for morning in mornings]
    assert "scaled in" in [record.end_cause for record in twin.environments(name)]


def test_utilisation_scales_out_at_once_and_in_slowly_and_not_at_all_without_data(twin):
    """Three busy minutes scale out, fifteen quiet ones in; an hour without an invocation has nothing to measure."""
    name = name_of(twin, "Provisioned")
    client = twin.client("lambda")

    def capacity():
        config = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
        return config["RequestedProvisionedConcurrentExecutions"]

    advance_to(twin, datetime(2027, 3, 29, 8, 0, tzinfo=BERLIN))
    assert wait_until(lambda: twin.scaling()[-1].cause.endswith("Open"))
    assert capacity() == 2

    def minutes(count, at_once):
        for _ in range(count):
            together(twin, "Provisioned", at_once, 200 if at_once > 1 else 0)
            twin.clock.advance(60)

    minutes(5, at_once=2)
    assert wait_until(lambda: capacity() == 3)
    change = twin.scaling()[-1]
    assert (change.before, change.after, change.at.second) == (2, 3, 0)
    assert wait_until(
        lambda: sum(r.provisioned_for is not None and not r.ended_at for r in twin.environments(name)) == 3
    )
    twin.clock.advance(3600)
    time.sleep(0.3)
    assert capacity() == 3
    minutes(17, at_once=1)
    assert wait_until(lambda: capacity() == 2)
    assert twin.scaling()[-1].after == 2


def test_a_schedule_that_boto3_makes_fires_and_one_that_is_deleted_does_not(twin):
    client = twin.client("scheduler")
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name_of(twin, 'Ruled')}:live"
    role = "arn:aws:iam::000000000000:role/r"
    target = {"Arn": arn, "RoleArn": role, "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}
    client.create_schedule(
        Name="made",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        Target=target,
    )
    made_at = twin.clock.now()
    time.sleep(1.2)  # the twin looks twice a second
    twin.clock.advance(16 * 60)
    assert wait_until(lambda: twin.firings("made"))
    (firing,) = twin.firings("made")
    assert made_at <= firing.due_at <= firing.fired_at <= twin.clock.now()
    client.delete_schedule(Name="made")
    time.sleep(1.2)
    twin.clock.advance(2 * 3600)
    time.sleep(0.5)
    assert len(twin.firings("made")) == 1


def test_a_target_that_is_not_there_is_tried_as_often_as_the_schedule_says(twin):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nowhere:live"
    target = {"Arn": arn, "RoleArn": "arn:aws:iam::000000000000:role/r", "RetryPolicy": {"MaximumRetryAttempts": 1}}
    moment = twin.clock.now() + timedelta(minutes=1)
    twin.client("scheduler").create_schedule(
        Name="lost",
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )
    time.sleep(1.2)
    for _ in range(4):
        twin.clock.advance(60)
        time.sleep(0.2)
    assert wait_until(lambda: twin.firings("lost"))
    (firing,) = twin.firings("lost")
    assert (firing.attempts, firing.outcome) == (2, f"ResourceNotFoundException: {arn}")


def test_an_expression_that_aws_refuses_is_named(twin):
    twin.client("scheduler").create_schedule(
        Name="bad",
        ScheduleExpression="cron(0 8 * * * *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:us-east-1:000000000000:q", "RoleArn": "arn:aws:iam::000000000000:role/r"},
    )
    assert wait_until(lambda: "exactly one of" in twin.refused_schedules().get("bad", ""))
    twin.client("scheduler").delete_schedule(Name="bad")
    assert wait_until(lambda: "bad" not in twin.refused_schedules())


def test_a_version_with_snap_start_is_initialised_when_it_is_published(twin):
    name = name_of(twin, "Snap")
    (record,) = twin.environments(name)
    assert (record.state, record.initialization_type) == ("snapshot", "snap-start")
    config = twin.client("lambda").get_function_configuration(FunctionName=name, Qualifier="1")
    assert (config["State"], config["SnapStart"]["OptimizationStatus"]) == ("Active", "On")
    result = twin.invoke(name, b"{}", qualifier="live")
    assert json.loads(result.payload)["happened"] == ["import", "before", "after"]
    assert result.record.restore_duration_ms


def test_a_version_whose_init_fails_fails_the_deployment(twin, twin_app, tmp_path):
    """The last of this twin's tests but one: CloudFormation rolls back."""
    bad = synthesise(twin_app, tmp_path / "cdk.out", command="python warm.py", fail="before")
    with pytest.raises(DeploymentError, match="not before this snapshot"):
        twin.update(assembly=bad)
    result = twin.invoke(name_of(twin, "Snap"), b"{}", qualifier="live")
    assert json.loads(result.payload)["happened"][-1] == "after"


def test_nothing_fires_after_the_stacks_are_gone(twin):
    twin.destroy()
    time.sleep(1.2)
    before = len(twin.firings())
    twin.clock.advance(24 * 3600)
    time.sleep(0.5)
    assert len(twin.firings()) == before
    assert {record.state for record in twin.environments()} == {"ended"}
