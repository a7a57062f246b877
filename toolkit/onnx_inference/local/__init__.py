"""The local twin: what `cdk deploy` makes on AWS, made and served on this machine.

with LocalTwin() as twin:
    twin.deploy(directory="my-app", stacks=["Realtime"])
    print(twin.endpoints()[0].url)
"""

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.server import CloudError
from onnx_inference.local.cloud.state import StateError
from onnx_inference.local.code_deploy.rollout import HookRun, Rollout, TrafficStep
from onnx_inference.local.dashboard.page import Dashboard, write_dashboards
from onnx_inference.local.deployment.cdk_cli import CdkCliError
from onnx_inference.local.deployment.cloud_assembly import AssemblyError
from onnx_inference.local.deployment.cloudformation import DeployedStack, DeploymentError
from onnx_inference.local.deployment.deployment import IncompleteDeployment
from onnx_inference.local.deployment.synthesis import SynthesisError
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.event_sources.event_sources import EventSource
from onnx_inference.local.lambda_host.environment_records import BusySpan, EnvironmentRecord, IdleSpan, Throttle
from onnx_inference.local.lambda_host.host import HostLimits
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult
from onnx_inference.local.load.load_test import LoadError, LoadPlan, LoadResult, Sample
from onnx_inference.local.load.report_page import write_report
from onnx_inference.local.load.request_body import LoadRequest
from onnx_inference.local.load.summary import LoadSummary
from onnx_inference.local.schedules.scaling import ScalingChange
from onnx_inference.local.schedules.schedule import ScheduleFiring
from onnx_inference.local.twin import LocalTwin

__all__ = [
    "AssemblyError",
    "BusySpan",
    "CdkCliError",
    "Clock",
    "CloudError",
    "Dashboard",
    "DeployedStack",
    "DeploymentError",
    "Endpoint",
    "EnvironmentRecord",
    "EventSource",
    "HookRun",
    "HostLimits",
    "IdleSpan",
    "IncompleteDeployment",
    "InvocationRecord",
    "InvocationResult",
    "LoadError",
    "LoadPlan",
    "LoadRequest",
    "LoadResult",
    "LoadSummary",
    "LocalTwin",
    "Rollout",
    "Sample",
    "ScalingChange",
    "ScheduleFiring",
    "StateError",
    "SynthesisError",
    "Throttle",
    "TrafficStep",
    "write_dashboards",
    "write_report",
]
