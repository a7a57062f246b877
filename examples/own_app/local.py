"""The app on this machine: deployed onto an embedded cloud, asked for a digit, and destroyed."""

import os
from pathlib import Path

import numpy as np

from onnx_inference.infer import EndpointClient, Model
from onnx_inference.local import LocalTwin

with LocalTwin() as twin:
    twin.deploy(directory=Path(__file__).resolve().parent, stacks=["Shop"])
    os.environ.update(twin.credentials.environment())  # the API wants signed requests, as on AWS
    model = Model(EndpointClient(twin.endpoints()[0].url), "digits")
    answer = model.infer({"image": np.zeros((1, 1, 8, 8), np.float32)})
    print(answer.outputs[0].name, answer.outputs[0].array.shape)
    twin.destroy()
