"""AWS CDK constructs that serve ONNX models on AWS Lambda under the Open Inference Protocol.

    service = InferenceFunction(self, "Digits", model=ModelSource.in_image("models/digits"))
    InferenceApi(self, "Api", function=service)
    AsyncInference(self, "Jobs", function=service)

Everything that is public is in `__all__`.
"""

from .alarms import AlarmRule, Severity
from .api_auth import ApiAuth
from .api_type import ApiType
from .async_inference import AsyncInference
from .canary_deployment import CanaryDeployment
from .cold_start import ColdStart, WarmerTrigger, WarmHours
from .cors import Cors
from .errors import InvalidInferenceConfig, Problem
from .goldens import Goldens
from .inference_api import InferenceApi
from .inference_function import InferenceFunction
from .inference_metrics import ApiMetrics, FileSystemMetrics, FunctionMetrics
from .inference_monitoring import InferenceMonitoring
from .job_api import JobApi
from .job_notices import JobNotices
from .model_file_system import ModelFileSystem
from .model_part import ModelPart
from .model_s3_files import ModelS3Files
from .model_source import ModelSource
from .processing import Processing
from .provisioned_concurrency import ProvisionedConcurrency, ProvisionedSchedule, UtilizationStatistic
from .removal import Removal
from .service_function import ServiceFunction
from .service_image import ServiceImage
from .throttle import Throttle
from .traffic_shift import TrafficShift
from .warmer import Warmer

__all__ = [
    "AlarmRule",
    "ApiAuth",
    "ApiMetrics",
    "ApiType",
    "AsyncInference",
    "CanaryDeployment",
    "ColdStart",
    "Cors",
    "FileSystemMetrics",
    "FunctionMetrics",
    "Goldens",
    "InferenceApi",
    "InferenceFunction",
    "InferenceMonitoring",
    "InvalidInferenceConfig",
    "JobApi",
    "JobNotices",
    "ModelFileSystem",
    "ModelPart",
    "ModelS3Files",
    "ModelSource",
    "Problem",
    "Processing",
    "ProvisionedConcurrency",
    "ProvisionedSchedule",
    "Removal",
    "ServiceFunction",
    "ServiceImage",
    "Severity",
    "Throttle",
    "TrafficShift",
    "UtilizationStatistic",
    "WarmHours",
    "Warmer",
    "WarmerTrigger",
]
