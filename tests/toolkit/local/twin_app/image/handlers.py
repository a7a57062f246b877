"""Handlers that behave as functions do, well and badly."""

import json
import os
import sys
import time
from pathlib import Path

_CALLS = 0


def echo(event, context):
    """Return the event, and what the runtime was given."""
    return {
        "event": event,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "environment": dict(os.environ),
        "pid": os.getpid(),
        "cwd": str(Path.cwd()),
    }


def proxy(event, context):
    """Answer an API with the event; the greeting tells versions apart."""
    body = json.dumps({"greeting": os.environ.get("GREETING"), "arn": context.invoked_function_arn, "event": event})
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}


def sleep(event, context):
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid()}


def fail(event, context):
    raise ValueError("no such thing")


def leave(event, context):
    os._exit(event.get("status", 3))


def allocate(event, context):
    held = []
    for _ in range(event["megabytes"]):
        held.append(bytearray(os.urandom(1024) * 1024))
        time.sleep(0.0005)
    return len(held)


def large(event, context):
    return "x" * event["size"]


def log(event, context):
    print("one line")
    print("to the error stream", file=sys.stderr)
    metrics = {"Namespace": "Test", "Dimensions": [["Model"]], "Metrics": [{"Name": "Predict", "Unit": "Milliseconds"}]}
    print(json.dumps({"_aws": {"Timestamp": 0, "CloudWatchMetrics": [metrics]}, "Model": "m", "Predict": [1.5, 2]}))
    return


def count(event, context):
    global _CALLS
    _CALLS += 1
    return _CALLS


def hold(event, context):
    """Be busy for as long as the event says."""
    time.sleep(event.get("hold_ms", 0) / 1000)
    return {"pid": os.getpid(), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
