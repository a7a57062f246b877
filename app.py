"""The prebuilt stacks as an app: `cdk deploy Realtime -c model=path/to/model.onnx`.

With a model too large for an image: `cdk deploy LargeModel -c source=efs -c model=path/to/package`.

`stacks/context.py` lists what may follow `-c`.
"""

import sys
from pathlib import Path

from aws_cdk import App

from cdk_onnx_inference import InvalidInferenceConfig
from stacks.context import large_model_options, realtime_options, wants_large_model
from stacks.large_model import LargeModel
from stacks.realtime import Realtime

EXAMPLE_MODEL = Path(__file__).resolve().parent / "examples" / "digits" / "model.onnx"

try:
    app = App()
    if wants_large_model(app.node):
        LargeModel(app, "LargeModel", **large_model_options(app.node, default_model=EXAMPLE_MODEL))
    else:
        Realtime(app, "Realtime", **realtime_options(app.node, default_model=EXAMPLE_MODEL))
    app.synth()
except InvalidInferenceConfig as error:
    sys.exit(str(error))
