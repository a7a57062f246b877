"""A model that was read, was checked and can be served, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import _manifest
from ._signature import Signature
from .model_part import ModelPart
from .model_source import FromBucket, FromS3, ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model of a function.

    Attributes:
        source: Where it comes from.
        name: Its name in the Open Inference Protocol.
        digest: `sha256:<hex>` of its graph and weights, see `_manifest.digest_of`.
        files: Relative POSIX name -> file on this machine. All of them go into an image. Empty for a model that is in a
            bucket already.
        parts: What is uploaded to S3 or downloaded from it: the graph, its weights, and the manifest if there is one.
        weights_in_graph: Bytes of weights inside the graph file. 0 when the graph cannot be read at synth.
        anonymous_bytes: Memory that loading the model and one run were measured to take, or None.
        load_ms: Milliseconds that loading was measured to take, or None.
        signature: Its inputs and outputs. None when synth does not know them, or the protocol has no datatype for one.
    """

    source: ModelSource
    name: str
    digest: str
    files: Mapping[str, Path]
    parts: tuple[ModelPart, ...]
    weights_in_graph: int
    anonymous_bytes: int | None
    load_ms: float | None
    signature: Signature | None

    @property
    def is_downloaded(self) -> bool:
        """Whether each environment downloads it to `/tmp`."""
        return isinstance(self.source, FromS3 | FromBucket)

    @property
    def size(self) -> int:
        """Bytes of all parts together."""
        return sum(part.size for part in self.parts)

    @property
    def package_digest(self) -> str:
        """`sha256:<hex>` of all parts. Unlike `digest` it includes the manifest, which may differ for equal weights."""
        return _manifest.digest_of(self.parts, manifest=True)

    @property
    def directory_name(self) -> str:
        """Name of the model's directory where there are several models: the package digest without its prefix."""
        return self.package_digest.removeprefix("sha256:")
