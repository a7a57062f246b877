"""Schedules and scheduled rules, with everything that their template says."""

import json

from onnx_inference.local.cloud.records import CloudSchedule
from tests.toolkit.local.cloud.conftest import delete, deploy


def test_schedules_are_read_with_everything_that_the_template_says(cloud):
    """MiniStack's CloudFormation drops time zone, start and end; the twin keeps them."""
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    properties = {
        "Name": "morning",
        "ScheduleExpression": "cron(0 8 * * ? *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": "2027-01-01T00:00:00Z",
        "EndDate": "2027-12-31T00:00:00Z",
        "State": "DISABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": arn,
            "RoleArn": "arn:aws:iam::000000000000:role/r",
            "RetryPolicy": {"MaximumRetryAttempts": 0},
        },
    }
    rule = {"Name": "rule", "ScheduleExpression": "rate(1 minute)", "Targets": [{"Id": "1", "Arn": arn}]}
    patterned = {"Name": "pattern", "EventPattern": {"source": ["x"]}}
    resources = {
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
        "Patterned": {"Type": "AWS::Events::Rule", "Properties": patterned},
    }
    deploy(cloud, "Scheduled", resources)
    found = {entry.record["Name"]: entry for entry in cloud.schedules.all()}
    assert sorted(found) == ["morning", "rule"]
    schedule = found["morning"]
    assert (schedule.account, schedule.region, schedule.is_rule) == ("000000000000", "us-east-1", False)
    for name in ("ScheduleExpressionTimezone", "StartDate", "EndDate", "State"):
        assert schedule.record[name] == properties[name]
    assert schedule.targets == (properties["Target"],)
    assert [target["Arn"] for target in found["rule"].targets] == [arn]
    for name in ("ScheduleExpressionTimezone", "StartDate", "EndDate", "State"):
        del properties[name]
    deploy(cloud, "Scheduled", resources, update=True)
    record = next(e.record for e in cloud.schedules.all() if e.record["Name"] == "morning")
    assert (record["ScheduleExpressionTimezone"], record["StartDate"], record["State"]) == ("UTC", None, "ENABLED")
    delete(cloud, "Scheduled")
    assert cloud.schedules.all() == []


def test_what_a_rules_target_receives(cloud):
    event = {
        "version": "0",
        "id": "e",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2027-01-15T08:00:00Z",
        "region": "us-east-1",
        "resources": ["arn"],
        "detail": {},
    }
    rule = CloudSchedule("000000000000", "us-east-1", {"Name": "rule", "Arn": "arn"}, (), is_rule=True)

    def received(**target):
        return json.loads(cloud.schedules.event_for_target(rule, target, event))

    assert received() == event
    assert received(Input='{"a": 1}') == {"a": 1}
    assert received(InputPath="$.source") == "aws.events"
    assert received(InputPath="$.nothing")["id"] == "e"
    transformer = {"InputPathsMap": {"when": "$.time"}, "InputTemplate": '{"at": <when>}'}
    assert received(InputTransformer=transformer) == {"at": "2027-01-15T08:00:00Z"}
