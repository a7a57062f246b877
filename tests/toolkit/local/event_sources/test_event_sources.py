"""Event source mappings and pipes of a real template, with a real runtime behind them."""

import collections
import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from onnx_inference.local import LocalTwin
from tests.support.waiting import wait_until
from tests.toolkit.local.event_sources.queues import left, messages, send

APP = Path(__file__).parent / "app"
STACK = "EventSources"

pytest.importorskip("ministack")


@pytest.fixture(scope="module")
def twin():
    with LocalTwin() as twin:
        twin.deploy(directory=APP)
        yield twin


@pytest.fixture(scope="module")
def sqs(twin):
    return twin.client("sqs")


@pytest.fixture
def url(twin):
    return lambda name: twin.outputs(STACK)[f"{name}Url"]


@pytest.fixture
def took(twin):
    """The events that a function printed, oldest first."""

    def events(name):
        function = twin.outputs(STACK)[f"{name}Name"]
        lines = [line.message for line in twin.logs(function) if line.message.startswith("TOOK ")]
        return [json.loads(line[5:]) for line in lines]

    return events


def parked(twin, sqs):
    """What is on the dead-letter queue, taken off it."""
    found = sqs.receive_message(
        QueueUrl=twin.outputs(STACK)["ParkedQueue"], MaxNumberOfMessages=10, AttributeNames=["All"]
    ).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=twin.outputs(STACK)["ParkedQueue"], ReceiptHandle=message["ReceiptHandle"])
    return found


def test_the_event_is_what_lambda_documents(twin, sqs, url, took):
    attributes = {
        "kind": {"DataType": "String", "StringValue": "greeting"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = sqs.send_message(QueueUrl=url("Plain"), MessageBody="höllo", MessageAttributes=attributes)
    assert wait_until(lambda: left(sqs, url("Plain")) == 0)
    (seen,) = took("Plain")
    assert seen["arn"].endswith(":live")
    (record,) = seen["event"]["Records"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=url("Plain"), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    system = record.pop("attributes")
    assert record.pop("receiptHandle")
    assert record == {
        "messageId": sent["MessageId"],
        "body": "höllo",
        "md5OfBody": sent["MD5OfMessageBody"],
        "md5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "messageAttributes": {
            "kind": {"stringValue": "greeting", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "raw": {"binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": "us-east-1",
    }
    assert system["ApproximateReceiveCount"] == "1"
    assert set(system) == {
        "ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip


def test_a_failing_batch_comes_again_and_goes_to_the_dead_letter_queue(twin, sqs, url, took):
    before = len(took("Plain"))
    (sent,) = send(sqs, url("Plain"), {"raise": "never"})
    found = []
    assert wait_until(lambda: found.extend(parked(twin, sqs)) or found)
    (message,) = found
    assert message["MessageId"] == sent
    assert message["Attributes"]["DeadLetterQueueSourceArn"].endswith(url("Plain").rpartition("/")[2])
    tries = [event["event"]["Records"][0]["attributes"]["ApproximateReceiveCount"] for event in took("Plain")[before:]]
    assert tries == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        ({"batchItemFailures": []}, False),
        ({"batchItemFailures": None}, False),
        ({"other": 1}, False),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, True),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, True),
        ({"batchItemFailures": [{"wrong": "name"}]}, True),
        ({"batchItemFailures": [{"itemIdentifier": "of another batch"}]}, True),
        ("no object", True),
    ],
)
def test_an_answer_counts_as_documented(answer, again):
    from onnx_inference.local.event_sources.queue_event import failed_items

    assert failed_items(json.dumps(answer).encode(), ["a", "b"]) == ({"a", "b"} if again else set())


def test_only_the_reported_messages_come_again(twin, sqs, url, took):
    good = [{"number": number} for number in range(5)]
    ids = send(sqs, url("Partial"), *good, {"fail_until": 2})
    assert wait_until(lambda: left(sqs, url("Partial")) == 0)
    seen = collections.Counter(record["messageId"] for event in took("Partial") for record in event["event"]["Records"])
    assert seen == {**dict.fromkeys(ids, 1), ids[-1]: 2}


def test_a_dying_process_loses_no_message(twin, sqs, url, took):
    send(sqs, url("Partial"), {"die": True})
    found = []
    assert wait_until(lambda: found.extend(parked(twin, sqs)) or found)
    assert json.loads(found[0]["Body"]) == {"die": True}


def test_a_window_gathers_more_than_ten(twin, sqs, url, took):
    send(sqs, url("Window"), *({"n": n} for n in range(150)))
    assert wait_until(lambda: left(sqs, url("Window")) == 0)
    sizes = [len(event["event"]["Records"]) for event in took("Window")]
    assert sum(sizes) == 150
    assert max(sizes) > 10
    assert len(sizes) <= 10  # five pollers, each with a window or two


def test_a_batch_is_no_larger_than_an_invocation_may_be(twin, sqs, url, took):
    before = len(took("Window"))
    large = json.dumps({"text": "x" * 900_000})
    for _ in range(10):
        sqs.send_message(QueueUrl=url("Window"), MessageBody=large)
    assert wait_until(lambda: left(sqs, url("Window")) == 0)
    sizes = [len(event["event"]["Records"]) for event in took("Window")[before:]]
    assert sum(sizes) == 10
    assert max(sizes) <= 6


def test_the_maximum_concurrency_is_kept(twin, sqs, url):
    send(sqs, url("Limited"), *({"sleep": 0.3} for _ in range(8)))
    assert wait_until(lambda: left(sqs, url("Limited")) == 0)
    spans = [
        (record.started_at, record.started_at + timedelta(milliseconds=record.queued_ms + record.duration_ms))
        for record in twin.invocations(twin.outputs(STACK)["LimitedName"])
    ]
    together = [sum(begin < other and other < end for begin, end in spans) for other, _ in spans]
    assert len(spans) == 8
    assert 1 + max(together) == 2


def test_a_throttled_batch_is_tried_again(twin, sqs, url, took):
    send(sqs, url("Throttled"), *({"sleep": 0.2} for _ in range(6)))
    assert wait_until(lambda: left(sqs, url("Throttled")) == 0)
    assert len(took("Throttled")) >= 6
    (source,) = [source for source in twin.event_sources() if "Throttled" in source.source]
    assert source.throttled > 0
    assert (source.deleted, source.note) == (6, None)


def test_a_filter_passes_what_matches_and_deletes_the_rest(sqs, url, took):
    send(sqs, url("Filtered"), {"kind": "wanted"}, {"kind": "other"}, "no JSON")
    assert wait_until(lambda: left(sqs, url("Filtered")) == 0)
    bodies = [record["body"] for event in took("Filtered") for record in event["event"]["Records"]]
    assert [json.loads(body) for body in bodies] == [{"kind": "wanted"}]


def test_a_pipe_carries_what_its_filter_passes(twin, sqs, url):
    table = twin.client("dynamodb")
    name = twin.outputs(STACK)["TableName"]
    table.put_item(TableName=name, Item={"id": {"S": "a"}, "status": {"S": "QUEUED"}})
    table.put_item(TableName=name, Item={"id": {"S": "a"}, "status": {"S": "SUCCEEDED"}})
    (told,) = messages(sqs, url("Told"))
    assert told["id"] == "a"
    assert told["text"].startswith("job a of EventSources-ToTopic")
    (heard,) = messages(sqs, url("Heard"))
    assert (heard["source"], heard["detail-type"], heard["detail"]["id"]) == ("tests", "Finished", "a")


def test_ten_at_a_time_is_fast(twin, sqs, url):
    began = time.monotonic()
    send(sqs, url("Partial"), *({"n": n} for n in range(1000)))
    assert wait_until(lambda: left(sqs, url("Partial")) == 0, 60)
    rate = 1000 / (time.monotonic() - began)
    print(f"{rate:.0f} messages per second")
    assert rate > 50


def test_a_disabled_mapping_waits_and_a_destroyed_one_ends(twin, sqs, url, took):
    """The last of this twin's tests: it changes and destroys the stack."""
    twin.update(context={"enabled": "no"})
    time.sleep(0.5)
    send(sqs, url("Switched"), "waiting")
    time.sleep(1.0)
    assert took("Switched") == []
    assert [source.note for source in twin.event_sources() if "Switched" in source.source] == ["disabled"]
    twin.update(context={"enabled": "yes"})
    assert wait_until(lambda: len(took("Switched")) == 1)
    twin.destroy()
    assert twin.event_sources() == []
