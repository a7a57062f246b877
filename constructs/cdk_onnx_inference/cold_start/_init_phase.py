"""How long an environment takes to start, from what is known at synth: the arithmetic, and where it comes from.

Estimates leave out what AWS does not say: how fast Lambda's image cache is, how long it takes to attach a file system,
and how long a large snapshot takes to resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem
from cdk_onnx_inference.models._served_models import ServedModel
from cdk_onnx_inference.models.model_source import OnMount

from .cold_start import ColdStart, Provisioned, SnapStart

ON_DEMAND_LIMIT = 10.0
"""Seconds of Lambda's init phase for environments on demand. What takes longer is begun again within the first
invocation and the function's timeout.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

AHEAD_LIMIT, AHEAD_MAX = 130.0, 900.0
"""Seconds for environments that are started ahead (provisioned, or for a snapshot): this or the timeout, whichever is
longer. The same page."""

BANDWIDTH, RAISED_BANDWIDTH = 625e6 / 8, 3000e6 / 8
"""Bytes a second of an environment's network: as it is, and as AWS grants it at most, on request, at 10,240 MB of
memory and without a VPC. Whether mounts are within it AWS does not say.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

IMPORTS = 0.3
"""Seconds for Python, numpy and onnxruntime on one vCPU, while a download is under way (docs/model-loading.md)."""

VCPU = 1769
"""MB of memory that give one vCPU; less memory gives a share of it.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

ROOM = 256 * 1000**2
"""Bytes of memory that the handler keeps from the models when it decides which of several to load at init."""


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of a start.

    Attributes:
        transfer: Of bytes over the network.
        load: Of making sessions, as far as manifests have measured it.
        imports: Of the interpreter and its modules.
    """

    transfer: float
    load: float
    imports: float

    @property
    def seconds(self) -> float:
        """All of it; the modules are imported while a download is under way."""
        return max(self.transfer, self.imports) + self.load


def estimate(models: Sequence[ServedModel], memory_size: float, bandwidth: float = BANDWIDTH) -> Start:
    """A start of a function with these models.

    Args:
        models: Of the function; of several, those are loaded at init that fit into the memory, the first one always.
        memory_size: Of the function, in MB.
        bandwidth: Bytes a second.
    """
    memory = VCPU if is_unresolved(memory_size) else memory_size
    slower = max(1.0, VCPU / memory)
    left = memory * 1024**2 - ROOM
    loaded: list[ServedModel] = []
    for model in models:
        size = sum(part.size for part in model.parts)
        if not loaded or size <= left:
            loaded.append(model)
            left -= size
    return Start(
        transfer=sum(map(_transferred, loaded)) / bandwidth,
        load=sum(model.load_ms or 0.0 for model in loaded) / 1000 * slower,
        imports=IMPORTS * slower,
    )


def limit(cold_start: ColdStart, timeout: Duration) -> float:
    """Seconds after which a start has failed for good."""
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
    """A function of which no environment can ever start, with the fastest network that AWS has for it."""
    if not isinstance(timeout, Duration) or timeout.is_unresolved():
        return []
    downloaded = [model for model in models if model.is_downloaded]  # of mounts AWS does not say how fast they may be
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
            "Raise timeout=, or have the model where it need not be downloaded: ModelSource.in_image or on_efs.",
        )
    ]


def warning(
    cold_start: ColdStart, models: Sequence[ServedModel], *, memory_size: float, timeout: Duration
) -> str | None:
    """What to say of a start that is longer than Lambda's init phase, or None."""
    start = estimate(models, memory_size)
    parts = ", ".join(
        text
        for seconds, text in (
            (start.transfer, f"{start.transfer:.1f} s for what comes over the network at {BANDWIDTH / 1e6:.0f} MB/s"),
            (start.load, f"{start.load:.1f} s to load, as measured when the model was prepared"),
        )
        if seconds >= 0.1
    )
    ahead = isinstance(cold_start, Provisioned | SnapStart)
    if ahead:
        if timeout.is_unresolved() or start.seconds <= limit(cold_start, timeout):
            return None
        return (
            f"A start takes about {start.seconds:.0f} s ({parts}), and has {limit(cold_start, timeout):g} s: the "
            "deployment would fail. Raise timeout=, or have the model in the image or on a file system."
        )
    if start.seconds <= ON_DEMAND_LIMIT:
        return None
    text = (
        f"A start takes about {start.seconds:.0f} s ({parts}). Lambda's init phase has {ON_DEMAND_LIMIT:g} s: it then "
        "begins again within the first request, which takes as long once more"
    )
    if not timeout.is_unresolved() and start.seconds > timeout.to_seconds():
        text += f", and fails after its timeout of {timeout.to_seconds():g} s"
    return (
        f"{text}. ColdStart.provisioned() starts environments ahead, with 130 s for it; a model in the image, or one "
        "on a file system with its weights beside the graph, need not come whole."
    )


def _transferred(model: ServedModel) -> int:
    """Bytes that must come over the network before the model is loaded."""
    if model.is_downloaded:
        return sum(part.size for part in model.parts)
    if isinstance(model.source, OnMount):
        return model.weights_in_graph  # weights beside the graph are mapped, and read as they are used
    return 0
