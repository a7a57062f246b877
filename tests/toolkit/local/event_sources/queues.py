"""Queues as a client of AWS sees them."""

import json

from tests.support.waiting import wait_until


def send(sqs, url, *bodies):
    """Sends messages, and gives their ids. A body that is no text is sent as JSON."""
    ids = []
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body if isinstance(body, str) else json.dumps(body)}
            for number, body in enumerate(bodies[start : start + 10])
        ]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        ids += [entry["MessageId"] for entry in answer["Successful"]]
    return ids


def left(sqs, url):
    """How many messages are on a queue, in flight or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(value) for value in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def messages(sqs, url):
    """The messages of a queue as JSON, as soon as there are some. They stay on it, in flight."""
    found = []

    def receive():
        found.extend(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []))
        return found

    assert wait_until(receive)
    return [json.loads(message["Body"]) for message in found]
