"""AWS CDK constructs that serve ONNX models on AWS Lambda with the Open Inference Protocol.

    service = InferenceFunction(self, "Digits", model=ModelSource.in_image("models/digits"))
    InferenceApi(self, "Api", function=service)
    AsyncInference(self, "Jobs", function=service)

All public names are in `__all__`.
"""

from .api.api_auth import ApiAuth
from .api.api_type import ApiType
from .api.cors import Cors
from .api.inference_api import InferenceApi
from .api.throttle import Throttle
from .cold_start.cold_start import ColdStart, WarmerTrigger, WarmHours
from .cold_start.provisioned_concurrency import ProvisionedConcurrency, ProvisionedSchedule, UtilizationStatistic
from .cold_start.warmer import Warmer
from .errors import InvalidInferenceConfig, Problem
from .functions.inference_function import InferenceFunction
from .functions.service_function import ServiceFunction
from .image.processing import Processing
from .image.service_image import ServiceImage
from .jobs.async_inference import AsyncInference
from .jobs.job_api import JobApi
from .jobs.job_notices import JobNotices
from .models.model_file_system import ModelFileSystem
from .models.model_part import ModelPart
from .models.model_s3_files import ModelS3Files
from .models.model_source import ModelSource
from .monitoring.alarms import AlarmRule, Severity
from .monitoring.inference_metrics import ApiMetrics, FileSystemMetrics, FunctionMetrics
from .monitoring.inference_monitoring import InferenceMonitoring
from .removal import Removal
from .rollout.canary_deployment import CanaryDeployment
from .rollout.goldens import Goldens
from .rollout.traffic_shift import TrafficShift

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
