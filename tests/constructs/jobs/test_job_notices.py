"""Notices of finished jobs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns

from cdk_onnx_inference import JobNotices
from tests.constructs.jobs.conftest import Make, allowed, reference, template
from tests.support import synth


def test_notices_to_a_topic(make: Make, stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic")
    jobs = make(notices=JobNotices.topic(topic))
    made = template(jobs)
    table = synth.only(made, "AWS::DynamoDB::GlobalTable")
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    pipe = synth.only(made, "AWS::Pipes::Pipe")
    assert pipe["Source"] == reference(jobs, jobs.table.table_stream_arn)
    assert pipe["Target"] == reference(jobs, topic.topic_arn)
    template_ = json.loads(pipe["TargetParameters"]["InputTemplate"])
    assert template_.keys() == {"id", "model", "status", "created_at", "updated_at"}
    assert jobs.notices_role is not None
    found = allowed(jobs, jobs.notices_role)
    assert found.pop("sns:Publish") == [f"<{reference(jobs, topic.topic_arn)['Ref']}>"]
    assert {resource for resources in found.values() for resource in resources} == {"<JobsTable10C8EDF6.StreamArn>"}


def test_notices_to_an_event_bus(make: Make, stack: Stack) -> None:
    bus = events.EventBus(stack, "Bus")
    jobs = make(notices=JobNotices.event_bus(bus))
    pipe = synth.only(template(jobs), "AWS::Pipes::Pipe")
    assert pipe["Target"] == reference(jobs, bus.event_bus_arn)
    assert pipe["TargetParameters"]["EventBridgeEventBusParameters"] == {
        "DetailType": "Inference job finished",
        "Source": "cdk-onnx-inference",
    }
    assert jobs.notices_role is not None
    assert "events:PutEvents" in allowed(jobs, jobs.notices_role)


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as the filters use it."""
    if isinstance(pattern, dict):
        return isinstance(event, dict) and all(
            name in event and matches(part, event[name]) for name, part in pattern.items()
        )
    return any(
        event not in choice["anything-but"] if isinstance(choice, dict) else event == choice for choice in pattern
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "QUEUED", False),
        (None, "FAILED", True),
        ("QUEUED", "RUNNING", False),
        ("QUEUED", "CANCELLED", True),
        ("RUNNING", "SUCCEEDED", True),
        ("RUNNING", "EXPIRED", True),
        ("SUCCEEDED", "SUCCEEDED", False),
        ("FAILED", "QUEUED", False),
        ("SUCCEEDED", None, False),
    ],
)
def test_notices_are_of_jobs_that_have_become_final(
    make: Make, stack: Stack, before: str | None, after: str | None, expected: bool
) -> None:
    pipe = synth.only(template(make(notices=JobNotices.topic(sns.Topic(stack, "Topic")))), "AWS::Pipes::Pipe")
    images = {"OldImage": before, "NewImage": after}
    event = {
        "eventName": "INSERT" if before is None else "REMOVE" if after is None else "MODIFY",
        "dynamodb": {name: {"status": {"S": status}} for name, status in images.items() if status},
    }
    filters = [json.loads(one["Pattern"]) for one in pipe["SourceParameters"]["FilterCriteria"]["Filters"]]
    assert sum(matches(pattern, event) for pattern in filters) == expected
