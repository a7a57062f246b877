"""Submits and waits for many jobs, in the order of their inputs, with a progress bar."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from onnx_inference.infer.http_client import RequestFailed
from onnx_inference.infer.tensors import TensorMismatch
from onnx_inference.jobs.job import Job, JobError, JobNotFinished, JobOutcome, new_job_id

if TYPE_CHECKING:
    from onnx_inference.jobs.client import JobsClient

#: How many jobs are submitted ahead of the one whose outcome is yielded.
_AHEAD = 10_000


def run_many(
    client: "JobsClient",
    inputs: Iterable[Mapping[str, Any]],
    *,
    ids: Callable[[int], str] | None,
    concurrency: int,
    timeout: float | None,
    progress: bool,
    on_submitted: Callable[[Job], None] | None,
    settings: Mapping[str, Any],
) -> Iterator[JobOutcome]:
    """What `JobsClient.map` does."""

    def submit(job: str, given: Mapping[str, Any]) -> Exception | None:
        try:
            submitted = client.submit(given, id=job, **settings)
        except (RequestFailed, TensorMismatch) as error:
            return error
        if on_submitted is not None:
            on_submitted(submitted)
        return None

    source = enumerate(inputs)
    total = len(inputs) if isinstance(inputs, Sequence) else None
    with _bar(progress, total) as bar, ThreadPoolExecutor(concurrency) as submitting:
        waiting: collections.deque[tuple[str, Future[Exception | None]]] = collections.deque()

        def fill() -> bool:
            """Submit as many jobs as may be ahead. Whether there is anything to wait for."""
            for number, given in itertools.islice(source, _AHEAD - len(waiting)):
                job = ids(number) if ids is not None else new_job_id()
                future = submitting.submit(submit, job, given)
                future.add_done_callback(lambda _: bar("submitted"))
                waiting.append((job, future))
            return bool(waiting)

        with ThreadPoolExecutor(concurrency) as asking:
            while fill():
                some = [waiting.popleft() for _ in range(min(len(waiting), 4 * concurrency))]
                asked = [asking.submit(_outcome, client, job, submitted, timeout) for job, submitted in some]
                for future in asked:
                    outcome = future.result()
                    bar("finished")
                    yield outcome


def collect_many(
    client: "JobsClient", ids: Sequence[str], *, concurrency: int, timeout: float | None, progress: bool
) -> Iterator[JobOutcome]:
    """What `JobsClient.collect` does."""
    with _bar(progress, len(ids)) as bar, ThreadPoolExecutor(concurrency) as asking:
        for _ in ids:
            bar("submitted")
        for future in [asking.submit(_outcome, client, job, None, timeout) for job in ids]:
            outcome = future.result()
            bar("finished")
            yield outcome


def _outcome(
    client: "JobsClient", job: str, submitted: "Future[Exception | None] | None", timeout: float | None
) -> JobOutcome:
    refused = None if submitted is None else submitted.result()
    if refused is not None:
        return JobOutcome(job, error=refused)
    try:
        return JobOutcome(job, response=client.result(job, timeout=timeout))
    except (JobError, JobNotFinished, RequestFailed) as error:
        return JobOutcome(job, error=error)


@contextlib.contextmanager
def _bar(shown: bool, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar, if wanted. The context gives what advances its counts, `submitted` and `finished`."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        tasks = {name: progress.add_task(name, total=total) for name in ("submitted", "finished")}
        yield lambda name: progress.advance(tasks[name])
