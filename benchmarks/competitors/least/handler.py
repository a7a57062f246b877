"""The least there is: onnxruntime loads the model, runs it once per event, and nothing else happens.

It stands for the floor. No HTTP event, no JSON text, no datatypes or shapes, no validation, no metrics: a list in, a
list out. What a cold start takes beyond this is what serving a protocol costs.
"""

import os

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"])


def handler(event, context):  # type: ignore[no-untyped-def]
    image = np.array(event["image"], dtype=np.float32)
    return session.run(None, {"image": image})[0].tolist()
