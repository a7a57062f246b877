"""What AWS's samples show: boto3 downloads the model to /tmp at import, and a session is made of it."""

import os

import boto3
import numpy as np
import onnxruntime
from botocore.config import Config

FILE = f"{os.environ['TMPDIR']}/model.onnx"
boto3.client("s3", config=Config(s3={"addressing_style": "path"})).download_file("models", "model.onnx", FILE)
session = onnxruntime.InferenceSession(FILE)


def handler(event, context):  # type: ignore[no-untyped-def]
    return float(session.run(None, {"x": np.array([event["x"]], np.float32)})[0])
