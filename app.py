"""The prebuilt stacks as an app: `cdk deploy Realtime -c model=path/to/model.onnx`.

With a model too large for an image: `cdk deploy LargeModel -c source=efs -c model=path/to/package`.

With jobs: `cdk deploy AsyncJobs -c stack=async-jobs -c model=path/to/package`.

`stacks/context.py` lists the options that may follow `-c`.
"""

import sys
from pathlib import Path

from aws_cdk import App

from cdk_onnx_inference import InvalidInferenceConfig
from stacks.async_jobs import AsyncJobs
from stacks.context import Prebuilt, async_jobs_options, large_model_options, realtime_options, wanted_stack
from stacks.large_model import LargeModel
from stacks.realtime import Realtime

EXAMPLE_MODEL = Path(__file__).resolve().parent / "examples" / "digits" / "model.onnx"

try:
    app = App()
    stack = wanted_stack(app.node)
    if stack is Prebuilt.LARGE_MODEL:
        LargeModel(app, "LargeModel", **large_model_options(app.node, default_model=EXAMPLE_MODEL))
    elif stack is Prebuilt.ASYNC_JOBS:
        AsyncJobs(app, "AsyncJobs", **async_jobs_options(app.node, default_model=EXAMPLE_MODEL))
    else:
        Realtime(app, "Realtime", **realtime_options(app.node, default_model=EXAMPLE_MODEL))
    app.synth()
except InvalidInferenceConfig as error:
    sys.exit(str(error))
