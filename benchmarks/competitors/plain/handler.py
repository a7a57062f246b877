"""The handler that most people write: JSON in, JSON out, with the SDK's clients made where they belong, at import.

It stands for "just a Lambda function" beside other AWS services: inputs or results in a bucket, a record in a table, a
message to what comes next. Clients are made once per environment, outside the handler, as AWS's own guidance says; none
of them is called here, because only what they cost at the cold start is compared.
"""

import json
import os

import boto3
import numpy as np
import onnxruntime

s3 = boto3.client("s3")
dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")
session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"])


def handler(event, context):  # type: ignore[no-untyped-def]
    image = np.array(json.loads(event["body"])["image"], dtype=np.float32)
    (logits,) = session.run(None, {"image": image})
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"logits": logits.tolist()}),
    }
