"""The local twin: what `cdk deploy` makes on AWS, made and served on this machine.

with LocalTwin() as twin:
    twin.deploy(directory="my-app", stacks=["Realtime"])
    print(twin.endpoints()[0].url)
"""

from onnx_inference.local.cdk_cli import CdkCliError
from onnx_inference.local.cloud import CloudError
from onnx_inference.local.cloud_assembly import AssemblyError
from onnx_inference.local.cloud_state import StateError
from onnx_inference.local.deployment import DeployedStack, DeploymentError
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.event_sources.event_sources import EventSource
from onnx_inference.local.lambda_host.host import HostLimits
from onnx_inference.local.lambda_host.invocation import InvocationRecord, InvocationResult
from onnx_inference.local.synthesis import SynthesisError
from onnx_inference.local.twin import IncompleteDeployment, LocalTwin

__all__ = [
    "AssemblyError",
    "CdkCliError",
    "CloudError",
    "DeployedStack",
    "DeploymentError",
    "Endpoint",
    "EventSource",
    "HostLimits",
    "IncompleteDeployment",
    "InvocationRecord",
    "InvocationResult",
    "LocalTwin",
    "StateError",
    "SynthesisError",
]
