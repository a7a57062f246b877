"""Estimates how long an environment takes to start, from what is known at synth.

The estimates leave out what AWS does not publish: the speed of Lambda's image cache, the time to attach a file system,
and the time to resume a large snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, Duration
from constructs import Construct

from cdk_onnx_inference import _warnings
from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.models._served_model import ServedModel
from cdk_onnx_inference.models.model_source import OnMount

from .cold_start import ColdStart, Provisioned, SnapStart

ON_DEMAND_LIMIT = 10.0
"""Seconds of Lambda's init phase for environments on demand. A start that takes longer begins again, within the first
invocation and the function's timeout.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

AHEAD_LIMIT, AHEAD_MAX = 130.0, 900.0
"""Seconds for environments that are started ahead (provisioned, or for a snapshot): the timeout, but at least the first
and at most the second. From the same page."""

BANDWIDTH, RAISED_BANDWIDTH = 625e6 / 8, 3000e6 / 8
"""Bytes a second of an environment's network: by default, and the most that AWS grants on request, for functions with
10,240 MB of memory and without a VPC. AWS does not say whether the limit includes mounts.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

IMPORTS = 0.3
"""Seconds for Python, numpy and onnxruntime on one vCPU, while a download is under way (docs/model-loading.md)."""

VCPU = 1769
"""MB of memory that give one vCPU. Less memory gives a share of it.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

ROOM = 256 * 1000**2
"""Bytes of memory that the handler keeps free when it decides which of several models to load at init."""


@dataclass(frozen=True, slots=True)
class Start:
    """The parts of a start, in seconds.

    Attributes:
        transfer: Transferring bytes over the network.
        load: Making the sessions, as far as manifests have measurements.
        imports: Starting the interpreter and importing modules.
    """

    transfer: float
    load: float
    imports: float

    @property
    def seconds(self) -> float:
        """The whole start. Modules are imported during a download."""
        return max(self.transfer, self.imports) + self.load


def estimate(models: Sequence[ServedModel], memory_size: float, bandwidth: float = BANDWIDTH) -> Start:
    """Estimates the start of a function with these models.

    Args:
        models: All models. At init the first one is loaded, and the others as far as they fit into the memory.
        memory_size: The function's memory in MB.
        bandwidth: Bytes a second.
    """
    memory = VCPU if is_unresolved(memory_size) else memory_size
    slower = max(1.0, VCPU / memory)
    left = memory * 1024**2 - ROOM
    loaded: list[ServedModel] = []
    for model in models:
        if not loaded or model.size <= left:
            loaded.append(model)
            left -= model.size
    return Start(
        transfer=sum(map(_transferred, loaded)) / bandwidth,
        load=sum(model.load_ms or 0.0 for model in loaded) / 1000 * slower,
        imports=IMPORTS * slower,
    )


def limit(cold_start: ColdStart, timeout: Duration) -> float:
    """Seconds after which a start fails."""
    seconds = float(timeout.to_seconds())
    if isinstance(cold_start, Provisioned | SnapStart):
        return min(AHEAD_MAX, max(AHEAD_LIMIT, seconds))
    return max(ON_DEMAND_LIMIT, seconds)


def check(
    path: str,
    cold_start: ColdStart,
    models: Sequence[ServedModel],
    *,
    memory_size: float,
    timeout: Duration,
    in_vpc: bool,
) -> list[Problem]:
    """Refuses a function that could not start even with the fastest network that AWS grants."""
    if not isinstance(timeout, Duration) or timeout.is_unresolved():
        return []
    downloaded = [model for model in models if model.is_downloaded]  # AWS does not say how fast mounts are
    start = estimate(downloaded, memory_size, BANDWIDTH if in_vpc else RAISED_BANDWIDTH)
    most = limit(cold_start, timeout)
    if start.transfer <= most:
        return []
    return [
        Problem(
            "init-exceeds-timeout",
            path,
            f"a model that takes at least {start.transfer:.0f} s to download",
            f"a start within {most:g} s",
            "Raise timeout=, or take a source without a download: ModelSource.in_image or on_efs.",
        )
    ]


def warn(
    construct: Construct,
    cold_start: ColdStart,
    models: Sequence[ServedModel],
    *,
    memory_size: float,
    timeout: Duration,
) -> None:
    """Warns of a start that takes longer than Lambda's init phase."""
    text = _warning(cold_start, models, memory_size=memory_size, timeout=timeout)
    if text is not None:
        Annotations.of(construct).add_warning_v2(_warnings.INIT_PHASE, text)


def _warning(
    cold_start: ColdStart, models: Sequence[ServedModel], *, memory_size: float, timeout: Duration
) -> str | None:
    start = estimate(models, memory_size)
    parts = ", ".join(
        text
        for seconds, text in (
            (start.transfer, f"{start.transfer:.1f} s for what comes over the network at {BANDWIDTH / 1e6:.0f} MB/s"),
            (start.load, f"{start.load:.1f} s to load, as measured when the model was prepared"),
        )
        if seconds >= 0.1
    )
    if isinstance(cold_start, Provisioned | SnapStart):
        if timeout.is_unresolved() or start.seconds <= limit(cold_start, timeout):
            return None
        return (
            f"A start takes about {start.seconds:.0f} s ({parts}), and has {limit(cold_start, timeout):g} s: the "
            "deployment would fail. Raise timeout=, or put the model into the image or on a file system."
        )
    if start.seconds <= ON_DEMAND_LIMIT:
        return None
    text = (
        f"A start takes about {start.seconds:.0f} s ({parts}). Lambda's init phase has {ON_DEMAND_LIMIT:g} s; after "
        "that the start begins again within the first request, which takes as long once more"
    )
    if not timeout.is_unresolved() and start.seconds > timeout.to_seconds():
        text += f", and fails after its timeout of {timeout.to_seconds():g} s"
    return (
        f"{text}. ColdStart.provisioned() starts environments ahead, and gives them 130 s. A model in the image, or on "
        "a file system with its weights beside the graph, is read only in part."
    )


def _transferred(model: ServedModel) -> int:
    """Bytes that are transferred over the network before the model is loaded."""
    if model.is_downloaded:
        return model.size
    if isinstance(model.source, OnMount):
        return model.weights_in_graph  # other weights are memory-mapped, and read when used
    return 0
