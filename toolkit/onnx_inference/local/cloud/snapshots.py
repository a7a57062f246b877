"""SnapStart in the embedded cloud: a published version is active once its snapshot was made in the Lambda host."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from onnx_inference.local.cloud.functions import EmbeddedFunctions
from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.lambda_host.function_configuration import FunctionArn

#: Makes the snapshot of a version, as Lambda's API describes it.
SnapshotMaker = Callable[[Mapping[str, Any]], None]

_VERSION, _ALIAS = "AWS::Lambda::Version", "AWS::Lambda::Alias"
#: How long a version's snapshot may take until a deployment gives up.
_SNAPSHOT_SECONDS = 930.0


class Snapshots:
    """Makes the snapshots of published versions, and fails a deployment whose version has none.

    Args:
        patches: Replaces MiniStack's own snapshots.
        functions: The deployed functions.
        make: Makes a snapshot; what it raises fails the version. Default: none is made.
    """

    def __init__(self, patches: Patches, functions: EmbeddedFunctions, make: SnapshotMaker | None) -> None:
        self._functions = functions
        self._make = make
        stacks = ministack("services.cloudformation.stacks")
        runs_on_worker_thread = stacks._runs_on_worker_thread
        patches.attribute(
            ministack("services.lambda_svc"), "_snapstart_provision_version_async", self._make_in_background
        )
        # A function's init may call this cloud, which cannot answer while its event loop waits for the function.
        patches.attribute(
            stacks, "_runs_on_worker_thread", lambda kind: kind in (_VERSION, _ALIAS) or runs_on_worker_thread(kind)
        )
        patches.after_each_change(_VERSION, lambda arn, _properties: self._wait_for(FunctionArn.parse(arn)))

    def _make_in_background(self, name: str, version: dict[str, Any]) -> None:
        """MiniStack calls this when a version with SnapStart was published."""
        config = version["config"]

        def make() -> None:
            try:
                if self._make is not None:
                    self._make(config)
            except Exception as error:  # whatever it was, the version must not stay pending
                config.update(State="Failed", StateReason=str(error), StateReasonCode="FunctionError")
            else:
                config.update(State="Active", StateReason="", StateReasonCode="", LastUpdateStatus="Successful")

        threading.Thread(target=make, name=f"snapshot-{name}", daemon=True).start()

    def _wait_for(self, arn: FunctionArn) -> None:
        """Wait until a version is active; what is raised fails its deployment."""
        deadline = time.monotonic() + _SNAPSHOT_SECONDS
        while time.monotonic() < deadline:
            deployed = self._functions.get(arn)
            config = {} if deployed is None else deployed.configurations.get(arn.qualifier or "", {})
            if config.get("State") == "Failed":
                raise ValueError(f"{arn} did not become active: {config.get('StateReason')}")
            if config.get("State") != "Pending" or (config.get("SnapStart") or {}).get("OptimizationStatus") != "On":
                return
            time.sleep(0.02)
        raise ValueError(f"{arn} did not become active: its snapshot was not made in {_SNAPSHOT_SECONDS:.0f} seconds")
