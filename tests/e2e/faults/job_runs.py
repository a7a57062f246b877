"""Runs of many jobs through a deployed service, and the checks at their end, whatever went wrong meanwhile."""

import collections
import concurrent.futures
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from onnx_inference.infer.http_client import Answer
from onnx_inference.infer.open_inference import decode
from onnx_inference.jobs import JobsClient, RequestFailed
from onnx_inference.local import LocalTwin
from tests.e2e.faults import function_faults
from tests.e2e.faults.fault_proxy import FaultProxy
from tests.support import cdk_app, models

REPOSITORY = Path(__file__).resolve().parents[3]
APP = Path(__file__).parent / "app"
STACK = "Faults"
MODEL = "matmul"
JOBS = int(os.environ.get("ONNX_INFERENCE_FAULT_JOBS", "40"))
WORKER = "onnx_handler.queue.handler"
#: How long a worker has a job before another worker gets it.
VISIBILITY_SECONDS = 6
MOST_DELIVERIES = 5
FINAL = ("SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED")
_LARGE_ROWS = 30_000  # 480 kB of inputs, 360 kB of outputs: both go to the bucket
_MOST_LARGE = max(50, JOBS // 20)


def synthesise(directory: Path, proxy: FaultProxy, **context: str) -> Path:
    """The app's assembly, with a model, and images whose processes can be made to misbehave."""
    model = directory / f"{MODEL}.onnx"
    onnx.save(models.matmul(), model)
    # The constructs of this checkout, whatever is installed.
    pythonpath = REPOSITORY / "constructs"
    assembly = cdk_app.synthesise(APP, directory / "cdk.out", pythonpath=pythonpath, model=str(model), **context)
    for image in images(assembly):
        (image / "sitecustomize.py").write_text(Path(function_faults.__file__).read_text())
        (image / "faults.json").write_text(json.dumps({"endpoint": proxy.url}))
    return assembly


def images(assembly: Path) -> list[Path]:
    """The staged directories of an assembly's images."""
    return [path.parent for path in assembly.glob("asset.*/Dockerfile")]


@dataclass
class Verdict:
    """The result of a run of jobs."""

    name: str
    statuses: collections.Counter[str]
    seconds: float
    submitted: int
    writes: int
    received: int
    errors: collections.Counter[str] = field(default_factory=collections.Counter)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        causes = "".join(f"\n    {count} x {error}" for error, count in self.errors.most_common(5))
        return (
            f"{self.name}: {self.submitted} jobs in {self.seconds:.1f} s ({self.submitted / self.seconds:.0f}/s): "
            f"{counts}; {self.received} deliveries, {self.writes} final writes{causes}"
        )


class JobService:
    """The deployed service, and ways to disturb it."""

    def __init__(self, twin: LocalTwin, assembly: Path, proxy: FaultProxy) -> None:
        self.twin = twin
        self.proxy = proxy
        self._images = images(assembly)
        self._session = onnxruntime.InferenceSession(models.matmul().SerializeToString())
        self._inputs: dict[str, np.ndarray[Any, Any]] = {}
        self._began = time.monotonic()
        self.attach()

    def attach(self) -> None:
        """Connect to what is deployed now. To be called again after each start of the twin."""
        self.proxy.upstream = self.twin.credentials.endpoint_url
        self.outputs = self.twin.outputs(STACK, local=True)
        self._received_before = 0
        self.sqs = self.twin.client("sqs")
        self.dynamodb = self.twin.client("dynamodb")
        self.s3 = self.twin.client("s3")
        # The constructs require longer ones. Here a lost delivery must not take minutes.
        self.set_visibility("DeadLetterQueue", 2)
        self.set_visibility("JobsQueue", VISIBILITY_SECONDS)

    # -- faults -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def functions_misbehaving(self, *handlers: str, **settings: object) -> Iterator[None]:
        """Make the processes of some handlers misbehave for a while; see `function_faults`."""
        self._write({"endpoint": self.proxy.url, "handlers": handlers, **settings})
        try:
            yield
        finally:
            self._write({"endpoint": self.proxy.url})

    def _write(self, settings: dict[str, object]) -> None:
        for image in self._images:
            unfinished = image / "faults.json.new"
            unfinished.write_text(json.dumps(settings))
            unfinished.replace(image / "faults.json")
        time.sleep(0.3)  # the processes look every tenth of a second

    def set_visibility(self, queue: str, seconds: int) -> None:
        """Set the visibility timeout of a queue."""
        self.sqs.set_queue_attributes(QueueUrl=self.outputs[queue], Attributes={"VisibilityTimeout": str(seconds)})

    def set_most_deliveries(self, count: int) -> None:
        """Set how often a message is delivered before it moves to the dead-letter queue."""
        names = ["RedrivePolicy"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.outputs["JobsQueue"], AttributeNames=names)["Attributes"]
        policy = json.dumps({**json.loads(found["RedrivePolicy"]), "maxReceiveCount": count})
        self.sqs.set_queue_attributes(QueueUrl=self.outputs["JobsQueue"], Attributes={"RedrivePolicy": policy})

    # -- jobs ---------------------------------------------------------------------------------------------------

    def client(self, **settings: Any) -> JobsClient:
        """A client of the job API."""
        return JobsClient(self.outputs["Endpoint"], MODEL, auth="none", **{"retry_seconds": 120.0, **settings})

    def inputs(self, job: str, number: int, *, large: bool = False) -> np.ndarray[Any, Any]:
        """Inputs for a job. No other job has the same answer."""
        row = np.array([[number, number % 7, number % 11, 1]], dtype=np.float32)
        self._inputs[job] = np.repeat(row, _LARGE_ROWS, axis=0) if large else row
        return self._inputs[job]

    def expected(self, job: str) -> np.ndarray[Any, Any]:
        """A job's answer, computed here."""
        (answer,) = self._session.run(None, {"x": self._inputs[job]})
        return np.asarray(answer)

    def submit(self, name: str, count: int = JOBS, *, large_every: int = 40) -> list[str]:
        """Submit jobs through the API; every now and then a large one."""
        ids = [f"{name}-{number}" for number in range(count)]
        larges = set(range(0, count, large_every)[:_MOST_LARGE]) if large_every else set()
        client = self.client()

        def submit(number: int) -> None:
            client.submit({"x": self.inputs(ids[number], number, large=number in larges)}, id=ids[number])

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in pool.map(submit, range(count)):
                pass
        return ids

    def is_large(self, job: str) -> bool:
        """Whether a job's request and result are too large for the queue and the table."""
        return len(self._inputs[job]) > 1

    def message(self, job: str) -> str:
        """A small job's message, as an SDK would put it on the queue."""
        array = self._inputs[job]
        member = {"name": "x", "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
        return json.dumps({"id": job, "model": MODEL, "body": json.dumps({"inputs": [member]})})

    # -- the end ------------------------------------------------------------------------------------------------

    def records(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The items of the jobs whose ids begin so."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.outputs["JobsTable"],
            FilterExpression="begins_with(id, :p)",
            ExpressionAttributeValues={":p": {"S": prefix}},
        )
        return {item["id"]["S"]: item for page in pages for item in page["Items"]}

    def finish(self, ids: Iterable[str], seconds: float) -> None:
        """Wait until every job has a final status. The sweeper runs meanwhile, more often than its schedule says."""
        wanted = set(ids)
        prefix = _run_of(next(iter(wanted)))
        deadline = time.monotonic() + seconds
        while True:
            records = self.records(prefix)
            left = {job for job in wanted if records.get(job, {}).get("status", {}).get("S") not in FINAL}
            if not left:
                return
            if time.monotonic() > deadline:
                some = {job: records.get(job, {}).get("status", {}).get("S", "absent") for job in sorted(left)[:5]}
                raise AssertionError(f"{len(left)} of {len(wanted)} jobs are not finished: {some}")
            self.twin.invoke(self.outputs["Sweeper"], b"{}")
            time.sleep(min(2.0, 0.3 + len(wanted) / 5000))

    def history(self) -> dict[str, list[tuple[str, str]]]:
        """Every change of every job's status, out of the table's stream: from which to which."""
        streams = self.twin.client("dynamodbstreams")
        arn = self.dynamodb.describe_table(TableName=self.outputs["JobsTable"])["Table"]["LatestStreamArn"]
        changes: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                answer = streams.get_records(ShardIterator=iterator, Limit=1000)
                for record in answer["Records"]:
                    change = record["dynamodb"]
                    old, new = (
                        change.get(name, {}).get("status", {}).get("S", "") for name in ("OldImage", "NewImage")
                    )
                    if old != new:
                        changes[change["Keys"]["id"]["S"]].append((old, new))
                iterator = answer.get("NextShardIterator") if answer["Records"] else None
        return changes

    def answer_of(self, item: dict[str, Any]) -> np.ndarray[Any, Any]:
        """The answer in a job's record, or in the object that the record names."""
        headers = {name.lower(): value["S"] for name, value in item.get("result_headers", {}).get("M", {}).items()}
        if "result" in item:
            body = bytes(item["result"]["B"])
        else:
            bucket, _, key = item["result_uri"]["S"].removeprefix("s3://").partition("/")
            body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        array: np.ndarray[Any, Any] = decode(Answer(200, headers, body)).outputs[0].array
        return array

    def begin(self) -> None:
        """Begin a run: its time and its deliveries are counted from here."""
        self._began = time.monotonic()
        self._received_before = self._received()

    def _received(self) -> int:
        return sum(source.received for source in self.twin.event_sources() if source.source.endswith(self.queue_name))

    def judge(self, name: str, ids: list[str], *, may_fail: Callable[[str], bool]) -> Verdict:
        """Check the end of a run: nothing lost, nothing answered twice or wrongly, no failure without a cause.

        Args:
            name: The name of the run.
            ids: Its jobs.
            may_fail: Tells whether a job may have another status than SUCCEEDED.
        """
        seconds = time.monotonic() - self._began
        records = self.records(_run_of(ids[0]))
        assert set(ids) <= set(records), "jobs are lost"
        statuses: collections.Counter[str] = collections.Counter()
        errors: collections.Counter[str] = collections.Counter()
        for job in ids:
            item = records[job]
            status = item["status"]["S"]
            statuses[status] += 1
            if status == "SUCCEEDED":
                np.testing.assert_array_equal(self.answer_of(item), self.expected(job), err_msg=job)
            else:
                error = item.get("error", {}).get("S", "")
                assert error, f"{job} is {status} without a cause"
                errors[error] += 1
                assert may_fail(job), f"{job} is {status}: {error}"
        history = self.history()
        finals = {job: [change for change in history[job] if change[1] in FINAL] for job in ids}
        twice = {job: changes for job, changes in finals.items() if len(changes) != 1}
        assert not twice, f"not written finally exactly once: {dict(list(twice.items())[:5])}"
        received = self._received() - self._received_before
        verdict = Verdict(name, statuses, seconds, len(ids), len(finals), received, errors)
        print(f"\n{verdict}", flush=True)
        return verdict

    @property
    def queue_name(self) -> str:
        """The name of the queue that jobs wait on."""
        return self.outputs["JobsQueue"].rpartition("/")[2]

    def drained(self, *queues: str, seconds: float = 60.0) -> None:
        """Wait until nothing is on the queues."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        deadline = time.monotonic() + seconds
        for queue in queues:
            while True:
                found = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
                if not any(int(value) for value in found.values()):
                    break
                assert time.monotonic() < deadline, f"{queue}: {found}"
                time.sleep(0.1)

    def told(self) -> collections.Counter[tuple[str, str]]:
        """The notices so far, taken off their queue: the jobs' ids and statuses."""
        notices: collections.Counter[tuple[str, str]] = collections.Counter()
        while found := self.sqs.receive_message(QueueUrl=self.outputs["ToldQueue"], MaxNumberOfMessages=10).get(
            "Messages"
        ):
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
            self.sqs.delete_message_batch(QueueUrl=self.outputs["ToldQueue"], Entries=entries)
            for one in found:
                notice = json.loads(one["Body"])
                notices[notice["id"], notice["status"]] += 1
        return notices


def _run_of(job: str) -> str:
    """The prefix that the ids of all jobs of a run have."""
    return job.partition("-")[0] + "-"


class Watching(threading.Thread):
    """A client that polls one job, as a user's would, until it ends."""

    def __init__(self, client: JobsClient, job: str, timeout: float) -> None:
        super().__init__(daemon=True)
        self._client, self._job, self._timeout = client, job, timeout
        self.status: str | None = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        with contextlib.suppress(TimeoutError, RequestFailed):
            self.status = self._client.wait(self._job, timeout=self._timeout).status
        self.seconds = time.monotonic() - began
