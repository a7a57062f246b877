"""Queues, read and deleted in memory."""

import threading
import time

import pytest


@pytest.fixture
def queue(cloud):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="received", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    yield sqs, url, arn
    sqs.delete_queue(QueueUrl=url)


def test_more_than_ten_are_received_at_once(cloud, queue):
    sqs, url, arn = queue
    for number in range(15):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    received = cloud.queues.receive(arn, 100)
    assert received.visibility_seconds == 30
    assert [message.body for message in received.messages] == [str(number) for number in range(15)]
    assert cloud.queues.receive(arn, 100).messages == ()
    cloud.queues.delete(arn, [received.messages[0].receipt_handle])
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=received.messages[1].receipt_handle, VisibilityTimeout=0)
    (again,) = cloud.queues.receive(arn, 100).messages
    assert again.attributes["ApproximateReceiveCount"] == "2"
    cloud.queues.delete(arn, [received.messages[1].receipt_handle])  # its handle is another by now
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again.receipt_handle, VisibilityTimeout=0)
    assert len(cloud.queues.receive(arn, 100).messages) == 1


def test_no_message_is_lost_while_others_are_deleted(cloud, queue):
    _, url, arn = queue

    def produce():
        client = cloud.client("sqs")
        for number in range(0, 300, 10):
            entries = [{"Id": str(n), "MessageBody": str(number + n)} for n in range(10)]
            client.send_message_batch(QueueUrl=url, Entries=entries)

    producers = [threading.Thread(target=produce) for _ in range(3)]
    for thread in producers:
        thread.start()
    seen = 0
    while True:
        finished = not any(thread.is_alive() for thread in producers)
        messages = cloud.queues.receive(arn, 10).messages
        cloud.queues.delete(arn, [message.receipt_handle for message in messages])
        seen += len(messages)
        if finished and not messages:
            break
        time.sleep(0 if messages else 0.02)
    assert seen == 900


def test_a_queue_that_is_gone(cloud):
    assert cloud.queues.receive("arn:aws:sqs:us-east-1:000000000000:none", 10) is None


def test_queues_are_told_with_their_depth_and_age(cloud):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="looked-at")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (state,) = [queue for queue in cloud.queues.states() if queue.name == "looked-at"]
    assert state.visible == 1
    assert 0 <= state.oldest_seconds < 30
    sqs.delete_queue(QueueUrl=url)
