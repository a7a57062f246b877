"""The second half of the demonstration: hundreds of digits as jobs, and a job that fails.

The real CDK CLI deploys the prebuilt stack AsyncJobs. Jobs go through its API, its queue, its worker and its table.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from onnx_inference.jobs import JobError, JobsClient
from onnx_inference.local import LocalTwin

GOLDENS = Path(__file__).resolve().parent / "goldens"
JOBS = 300
BROKEN = "a-broken-job"


def run(twin: LocalTwin, project: Path, console: Console) -> bool:
    """Deploys, submits, collects, destroys.

    Args:
        twin: Started, with nothing deployed, its credentials in the environment.
        project: The directory with `cdk.json`.
        console: To print to.

    Returns:
        Whether every digit was done, at least 98 % of the labels are right, and the broken job failed with its reason.
    """
    with np.load(GOLDENS / "heldout.npz") as stored:
        images = (stored["pixels"][:JOBS].astype(np.float32) / 16).reshape(-1, 1, 1, 8, 8)
        labels = stored["labels"][:JOBS]
    console.print("\n[bold]cdk deploy AsyncJobs -c stack=async-jobs[/] ...")
    context = {"stack": "async-jobs", "removal": "destroy", "removal_reason": "a demonstration"}
    twin.deploy(directory=project, context=context, stacks=["AsyncJobs"], cdk_cli=True)
    outputs = twin.outputs("AsyncJobs", local=True)
    client = JobsClient(outputs["Endpoint"], "digits")

    _put_broken_job(twin, outputs["JobsQueue"])
    started = time.monotonic()
    outcomes = list(client.map(({"image": image} for image in images), name="digit", timeout=120))
    seconds = time.monotonic() - started
    predicted = [
        None if outcome.response is None else int(outcome.response.outputs[0].array.argmax()) for outcome in outcomes
    ]
    done = sum(label is not None for label in predicted)
    right = sum(found == label for found, label in zip(predicted, labels.tolist(), strict=True))
    console.print(f"{JOBS} jobs submitted, {done} done in {seconds:.0f} s, {right} labels right.")

    try:
        client.result(BROKEN, timeout=120)
        reason = ""
    except JobError as error:
        reason = str(error)
    console.print(f"One job more had a digit of the wrong shape: {reason or 'it did not fail'}", soft_wrap=True)

    console.print("[bold]cdk destroy[/] ...")
    twin.destroy()
    return done == JOBS and right >= 0.98 * JOBS and "FAILED" in reason


def _put_broken_job(twin: LocalTwin, queue: str) -> None:
    """Puts it on the queue, as a client with an SDK could: the API would have refused it."""
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 1, 4, 4], "data": [0.0] * 16}
    message = {"id": BROKEN, "model": "digits", "body": json.dumps({"inputs": [tensor]})}
    twin.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(message))
