"""A function with SnapStart's hooks."""

import os
import random
import time

from snapshot_restore_py import register_after_restore, register_before_snapshot

HAPPENED = ["import"]
SEED = random.random()


@register_before_snapshot
def before():
    if os.environ.get("FAIL") == "before":
        raise RuntimeError("not before this snapshot")
    HAPPENED.append("before")


@register_after_restore
def after():
    if os.environ.get("FAIL") == "after":
        raise RuntimeError("not after this restore")
    time.sleep(0.05)
    HAPPENED.append("after")


def handler(event, context):
    time.sleep(event.get("hold_ms", 0) / 1000)
    return {"happened": HAPPENED, "pid": os.getpid(), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
