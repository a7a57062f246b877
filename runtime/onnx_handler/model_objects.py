"""The S3 objects of a model, as MODEL_OBJECTS names them, and the digests over them.

{"parts": [{"path": "model.onnx", "uri": "s3://bucket/key", "size": 123, "sha256": "<hex>"}, ...]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from onnx_handler.errors import ModelUnusable

MANIFEST = "manifest.json"
_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Part(NamedTuple):
    """One file of a model, and the S3 object that has its content."""

    path: str
    bucket: str
    key: str
    size: int
    sha256: str

    @property
    def uri(self) -> str:
        """The object's `s3://` URI."""
        return f"s3://{self.bucket}/{self.key}"


def read(what: str, text: str) -> tuple[Part, ...]:
    """Reads the JSON of MODEL_OBJECTS, or of a list of parts alone.

    Args:
        what: name of the variable or property, for messages.
        text: the JSON.

    Raises:
        ModelUnusable: it is not JSON, or wrong.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ModelUnusable(f"{what} is not JSON: {error}") from None
    return parse(what, document)


def parse(what: str, document: Any) -> tuple[Part, ...]:
    """Reads the parts from MODEL_OBJECTS' JSON document, sorted by path.

    Raises:
        ModelUnusable: it is not a list of parts, or has no part `model.onnx`.
    """
    entries = document.get("parts") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ModelUnusable(f'{what} is {document!r:.80}; {{"parts": [...]}} is expected')
    parts = sorted(_part(what, entry) for entry in entries)
    paths = [part.path for part in parts]
    if "model.onnx" not in paths or len(set(paths)) != len(paths):
        raise ModelUnusable(f"{what} has the parts {paths}; one model.onnx, and no path twice, is expected")
    return tuple(parts)


def _part(what: str, entry: Any) -> Part:
    try:
        path, uri, size, digest = entry["path"], entry["uri"], entry["size"], entry["sha256"]
        bucket_and_key = _URI.fullmatch(uri)
        if (
            bucket_and_key is None
            or not _stays_inside(path)
            or type(size) is not int
            or size < 0
            or not _SHA256.fullmatch(digest)
        ):
            raise ValueError(entry)
    except (KeyError, TypeError, ValueError):
        raise ModelUnusable(
            f"{what} has the part {entry!r:.300}; path (relative, without '..'), uri (s3://bucket/key), "
            "size (bytes) and sha256 (64 hexadecimal digits) are expected"
        ) from None
    return Part(path, bucket_and_key[1], bucket_and_key[2], size, digest)


def _stays_inside(path: str) -> bool:
    """Whether it is a normalised path below the directory. Names with a leading dot are reserved for the cache."""
    return "\0" not in path and all(name and not name.startswith(".") for name in path.split("/"))


def size_of(parts: Iterable[Part]) -> int:
    """Bytes of all parts."""
    return sum(part.size for part in parts)


def digest_of(parts: Iterable[Part], *, manifest: bool) -> str:
    """`sha256:<hex>` of the text that `sha256sum` prints for the files, sorted by name.

    Args:
        parts: of one model.
        manifest: include manifest.json. MODEL_DIGEST does not: it is over the graph and its weights.
    """
    listing = sha256()
    for part in sorted(parts):
        if manifest or part.path != MANIFEST:
            listing.update(f"{part.sha256}  {part.path}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def check_digest(what: str, parts: Iterable[Part], digest: str, *, manifest: bool = False) -> None:
    """Compares the parts with the digest that was deployed with them; an empty digest fits all.

    Raises:
        ModelUnusable: they have another digest.
    """
    found = digest_of(parts, manifest=manifest)
    if digest and digest != found:
        raise ModelUnusable(f"the parts in {what} have the digest {found}; it is to be {digest}")
