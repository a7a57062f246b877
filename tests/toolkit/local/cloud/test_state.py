"""A twin that is stopped and started again goes on from where it was."""

import json
import pickle
import time
from pathlib import Path

import pytest

pytest.importorskip("ministack")

from onnx_inference.local import LocalTwin
from onnx_inference.local.cloud.state import StateError, read
from tests.support.waiting import wait_until
from tests.toolkit.local.event_sources.queues import left, messages, send

APP = Path(__file__).parents[1] / "event_sources" / "app"
STACK = "EventSources"


def test_a_restart_keeps_everything(tmp_path):
    state = tmp_path / "state"
    with LocalTwin(state_directory=state) as twin:
        (deployed,) = twin.deploy(directory=APP, context={"enabled": "no"})
        outputs = twin.outputs(STACK)
        ids = set(send(twin.client("sqs"), outputs["SwitchedUrl"], *({"n": n} for n in range(20))))
        # One is with a function when the twin stops: it must come again.
        send(twin.client("sqs"), outputs["LimitedUrl"], {"sleep": 30, "once": True})
        assert wait_until(lambda: [s for s in twin.event_sources() if "Limited" in s.source and s.received == 1])
        table, s3 = twin.client("dynamodb"), twin.client("s3")
        item = {"id": {"S": "a"}, "status": {"S": "SUCCEEDED"}, "raw": {"B": b"\x00\xff"}, "tags": {"SS": ["x", "y"]}}
        table.put_item(TableName=outputs["TableName"], Item=item)
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket="kept", Key="jobs/1", Body=b"one", Metadata={"m": "1"})["VersionId"]
        s3.put_object(Bucket="kept", Key="jobs/1", Body=b"two")
        twin.client("ssm").put_parameter(Name="/kept", Value="v", Type="String")
        lambda_ = twin.client("lambda")
        versions = lambda_.list_versions_by_function(FunctionName=outputs["SwitchedName"])["Versions"]
        stack_id = twin.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["StackId"]
    with LocalTwin(state_directory=state) as twin:
        table, s3, sqs = twin.client("dynamodb"), twin.client("s3"), twin.client("sqs")
        assert left(sqs, outputs["SwitchedUrl"]) == 20
        (again,) = twin.deploy(directory=APP, context={"enabled": "no"})
        assert (again.outputs, again.status) == (deployed.outputs, deployed.status)
        assert twin.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["StackId"] == stack_id
        assert table.get_item(TableName=outputs["TableName"], Key={"id": {"S": "a"}})["Item"] == item
        assert s3.get_object(Bucket="kept", Key="jobs/1")["Body"].read() == b"two"
        old = s3.get_object(Bucket="kept", Key="jobs/1", VersionId=first)
        assert (old["Body"].read(), old["Metadata"]) == (b"one", {"m": "1"})
        assert twin.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "v"
        listed = twin.client("lambda").list_versions_by_function(FunctionName=outputs["SwitchedName"])["Versions"]
        assert listed == versions
        assert left(sqs, outputs["LimitedUrl"]) == 1  # invisible as it was
        # The pipes go on where they were: this change is carried, and none before it a second time.
        told = messages(sqs, outputs["ToldUrl"])
        table.put_item(TableName=outputs["TableName"], Item={"id": {"S": "b"}, "status": {"S": "FAILED"}})
        told += messages(sqs, outputs["ToldUrl"])
        assert [notice["id"] for notice in told] == ["a", "b"]
        twin.update(context={"enabled": "yes"})
        assert wait_until(lambda: left(sqs, outputs["SwitchedUrl"]) == 0)
        lines = [line.message for line in twin.logs(outputs["SwitchedName"]) if line.message.startswith("TOOK ")]
        taken = [r["messageId"] for line in lines for r in json.loads(line[5:])["event"]["Records"]]
        assert sorted(taken) == sorted(ids)


def test_a_twin_without_a_directory_leaves_nothing(tmp_path):
    with LocalTwin() as twin:
        twin.client("s3").create_bucket(Bucket="gone")
    with LocalTwin(state_directory=tmp_path / "state") as twin:
        assert twin.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no state", "cannot be read"),
        (pickle.dumps({"port": 1}), "cannot be read"),
        (pickle.dumps({"ministack": "0.0.1"}), r"written by ministack 0\.0\.1"),
        (pickle.dumps({"ministack": time.sleep}), "no part of a cloud's state"),
    ],
)
def test_what_is_no_state_is_refused(tmp_path, content, reason):
    (tmp_path / "cloud.state").write_bytes(content)
    with pytest.raises(StateError, match=reason):
        read(tmp_path)


def test_no_state_is_no_error(tmp_path):
    assert read(tmp_path) is None
