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
        large = large_model_options(app.node, default_model=EXAMPLE_MODEL)
        LargeModel(
            app,
            "LargeModel",
            path=large.path,
            name=large.name,
            version=large.version,
            source=large.source,
            keep_versions=large.keep_versions,
            removal=large.removal,
            processing=large.processing,
            cold_start=large.cold_start,
            memory_size=large.memory_size,
            timeout=large.timeout,
            api_type=large.api_type,
            auth=large.auth,
        )
    else:
        options = realtime_options(app.node, default_model=EXAMPLE_MODEL)
        Realtime(
            app,
            "Realtime",
            model=options.model,
            processing=options.processing,
            cold_start=options.cold_start,
            memory_size=options.memory_size,
            timeout=options.timeout,
            api_type=options.api_type,
            auth=options.auth,
        )
    app.synth()
except InvalidInferenceConfig as error:
    sys.exit(str(error))
