"""AWS CDK constructs that serve ONNX models on AWS Lambda under the Open Inference Protocol.

    service = InferenceFunction(self, "Digits", model=ModelSource.in_image("models/digits"))
    InferenceApi(self, "Api", function=service)

Everything that is public is in `__all__`.
"""

from .api_auth import ApiAuth
from .api_type import ApiType
from .cors import Cors
from .errors import InvalidInferenceConfig, Problem
from .inference_api import InferenceApi
from .inference_function import InferenceFunction
from .model_source import ModelSource
from .processing import Processing
from .throttle import Throttle

__all__ = [
    "ApiAuth",
    "ApiType",
    "Cors",
    "InferenceApi",
    "InferenceFunction",
    "InvalidInferenceConfig",
    "ModelSource",
    "Problem",
    "Processing",
    "Throttle",
]
