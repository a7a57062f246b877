"""The event that Lambda makes of a queue's messages, and the failures that it reads in the function's answer.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from onnx_inference.local.cloud.queues import ReceivedMessage


def record_of(message: ReceivedMessage, queue_arn: str) -> dict[str, Any]:
    """One entry of the event's `Records`."""
    record: dict[str, Any] = {
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": dict(message.attributes),
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
    if message.md5_of_attributes:
        record["md5OfMessageAttributes"] = message.md5_of_attributes
    return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {}
    if value.get("StringValue") is not None:
        attribute["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        attribute["binaryValue"] = value["BinaryValue"]
    return {**attribute, "stringListValues": [], "binaryListValues": [], "dataType": value.get("DataType", "String")}


def filtered_form(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as filters see it: a JSON body is parsed."""
    try:
        body = json.loads(record["body"])
    except ValueError:
        body = record["body"]
    return {**record, "body": body}


def encode(records: Iterable[str]) -> bytes:
    """The event of these records, which are JSON already."""
    return ('{"Records":[' + ",".join(records) + "]}").encode()


def failed_items(response: bytes, sent: Iterable[str]) -> set[str]:
    """The messages that a function with `ReportBatchItemFailures` reports as failed.

    No message failed when the answer, or its `batchItemFailures`, is empty or null. All messages failed when the answer
    is not a JSON object, or when an `itemIdentifier` is missing, null, empty or not of a message of the batch.

    Args:
        response: The function's answer.
        sent: The ids of the messages of the batch.
    """
    everything = set(sent)
    try:
        answer = json.loads(response or b"null")
    except ValueError:
        return everything
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return everything
    failures = answer.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    failed = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in everything:
            return everything
        failed.add(identifier)
    return failed
