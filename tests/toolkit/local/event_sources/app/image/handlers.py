"""Takes messages and does what they ask for."""

import json
import os
import time


def take(event, context):
    """Print what came; answer, sleep, fail or die as the messages say."""
    print("TOOK " + json.dumps({"arn": context.invoked_function_arn, "event": event}))
    failures, answer = [], None
    for record in event["Records"]:
        wish = json.loads(record["body"]) if record["body"].startswith("{") else {}
        time.sleep(wish.get("sleep", 0))
        if wish.get("raise"):
            raise ValueError(wish["raise"])
        if wish.get("die"):
            os._exit(1)
        if wish.get("fail_until", 0) > int(record["attributes"]["ApproximateReceiveCount"]):
            failures.append({"itemIdentifier": record["messageId"]})
        answer = wish.get("answer", answer)
    return answer or {"batchItemFailures": failures}
