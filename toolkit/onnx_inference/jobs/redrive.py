"""Redrives failed jobs: moves their parked messages back to the job queue.

When a message that was moved reaches the worker, the worker resets its job from FAILED to QUEUED, once. So moving the
message is enough, and moving it twice does no harm.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from onnx_inference.extras import import_from_extra
from onnx_inference.infer.signing import configured_region

#: For how long other redrives do not see a message that this one has received and not released.
_VISIBILITY_SECONDS = 120
_OUTPUTS = {"table": "JobsTable", "queue": "JobsQueue", "parked": "ParkedQueue"}


class RedriveError(RuntimeError):
    """The queues or the table cannot be found."""


@dataclass(frozen=True)
class JobResources:
    """Where a service keeps its jobs.

    Attributes:
        queue_url: The job queue.
        parked_url: The queue of the parked messages of failed jobs.
        table: The table's name.
    """

    queue_url: str
    parked_url: str
    table: str


@dataclass(frozen=True)
class Redriven:
    """What was done with one parked message.

    Attributes:
        id: The job's id.
        moved: Whether the message went back to the job queue, or would.
        reason: Why it was left where it is, or the error with which the job had failed.
    """

    id: str
    moved: bool
    reason: str


class Redrive:
    """Moves parked messages back.

    Args:
        region: The region. Default: AWS_REGION, then that of the AWS configuration.

    Raises:
        MissingExtra: botocore is not installed.
    """

    def __init__(self, region: str | None = None) -> None:
        session = import_from_extra("botocore.session", "infer").get_session()
        self._errors = import_from_extra("botocore.exceptions", "infer")
        self._session = session
        self._region = region or configured_region(session)

    def _client(self, service: str) -> Any:
        return self._session.create_client(service, region_name=self._region)

    def of_stack(self, stack: str) -> JobResources:
        """The resources that a stack's outputs name: JobsTable, JobsQueue and ParkedQueue, with any prefix.

        Raises:
            RedriveError: There is no such stack, or it has no such outputs.
        """
        try:
            found = self._client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        except self._errors.ClientError as error:
            raise RedriveError(f"{stack}: {error.response['Error']['Message']}") from error
        outputs = {one["OutputKey"]: str(one["OutputValue"]) for one in found.get("Outputs", ())}
        values = {}
        for name, wanted in _OUTPUTS.items():
            matching = [value for key, value in outputs.items() if key == wanted or key.endswith(wanted)]
            if len(matching) != 1:
                raise RedriveError(
                    f"{stack} has {len(matching)} outputs {wanted}; it has: {', '.join(sorted(outputs)) or 'none'}. "
                    "Name the queues and the table by --queue, --parked and --table."
                )
            values[name] = matching[0]
        return self.named(values["queue"], values["parked"], values["table"])

    def named(self, queue: str, parked: str, table: str) -> JobResources:
        """The resources by their names; queues by name, URL or ARN.

        Raises:
            RedriveError: There is no such queue.
        """
        return JobResources(self._queue_url(queue), self._queue_url(parked), table)

    def _queue_url(self, name: str) -> str:
        if "://" in name:
            return name
        try:
            return str(self._client("sqs").get_queue_url(QueueName=name.rpartition(":")[2])["QueueUrl"])
        except self._errors.ClientError as error:
            raise RedriveError(f"There is no queue {name}: {error.response['Error']['Message']}") from error

    def run(self, resources: JobResources, *, dry_run: bool = False, limit: int | None = None) -> Iterator[Redriven]:
        """Move parked messages of failed jobs back to the job queue.

        Args:
            resources: Where the jobs are.
            dry_run: Look, and move nothing.
            limit: How many messages to look at, at most. Default: all.
        """
        sqs, table = self._client("sqs"), self._client("dynamodb")
        seen: set[str] = set()
        held: list[str] = []
        try:
            while limit is None or len(seen) < limit:
                messages = sqs.receive_message(
                    QueueUrl=resources.parked_url,
                    MaxNumberOfMessages=10 if limit is None else min(10, limit - len(seen)),
                    VisibilityTimeout=_VISIBILITY_SECONDS,
                    WaitTimeSeconds=1,
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
                fresh = [message for message in messages if message["MessageId"] not in seen]
                if not fresh:
                    break
                for message in fresh:
                    seen.add(message["MessageId"])
                    job, reason, moves = self._judge(table, resources.table, message)
                    if moves and not dry_run:
                        # Sent first: a crash in between leaves two messages, of which the second has no effect.
                        sqs.send_message(
                            QueueUrl=resources.queue_url,
                            MessageBody=message["Body"],
                            MessageAttributes=message.get("MessageAttributes") or {},
                        )
                        sqs.delete_message(QueueUrl=resources.parked_url, ReceiptHandle=message["ReceiptHandle"])
                    else:
                        held.append(message["ReceiptHandle"])
                    yield Redriven(job, moves, reason)
        finally:
            for handle in held:
                sqs.change_message_visibility(QueueUrl=resources.parked_url, ReceiptHandle=handle, VisibilityTimeout=0)

    def _judge(self, dynamodb: Any, table: str, message: dict[str, Any]) -> tuple[str, str, bool]:
        """The id of a parked message's job, why the job failed or the message is left, and whether to move it."""
        job = message["MessageId"]
        try:
            document = json.loads(message["Body"])
            job = str(document.get("id", job))
            parked = document.get("parked")
        except (ValueError, AttributeError):
            return job, "the message cannot be read: it would fail again", False
        item = dynamodb.get_item(TableName=table, Key={"id": {"S": job}}, ConsistentRead=True).get("Item")
        if item is None:
            return job, "its record is gone; a new one will be made", True
        status = item.get("status", {}).get("S", "")
        if status != "FAILED":
            return job, f"the job is {status}", False
        if item.get("parked", {}).get("S") != parked:
            return job, "the job failed another time since: that failure has its own message", False
        return job, item.get("error", {}).get("S", ""), True
