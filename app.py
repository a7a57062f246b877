"""The prebuilt stacks as an app: `cdk deploy Realtime -c model=path/to/model.onnx`.

`stacks/context.py` lists what may follow `-c`.
"""

import sys
from pathlib import Path

from aws_cdk import App

from cdk_onnx_inference import InvalidInferenceConfig
from stacks.context import realtime_options
from stacks.realtime import Realtime

EXAMPLE_MODEL = Path(__file__).resolve().parent / "examples" / "digits" / "model.onnx"

try:
    app = App()
    options = realtime_options(app.node, default_model=EXAMPLE_MODEL)
    Realtime(
        app,
        "Realtime",
        model=options.model,
        processing=options.processing,
        memory_size=options.memory_size,
        timeout=options.timeout,
        api_type=options.api_type,
        auth=options.auth,
    )
    app.synth()
except InvalidInferenceConfig as error:
    sys.exit(str(error))
