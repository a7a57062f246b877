"""Masks what a template says about file contents, so that a snapshot shows changes of infrastructure only."""

from __future__ import annotations

import json
import re
from typing import Any

_MASKS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),  # of parts of models, and in paths
    (re.compile(r'(?<=\\"size\\":)[0-9]+'), "<size>"),
    (re.compile(r"(ReadModel)[0-9a-f]{8}[0-9A-F]{8}"), r"\1<digest>"),
    (re.compile(r"(?<=:)[0-9a-f]{64}\b"), "<image hash>"),  # the tag in ImageUri
    (re.compile(r"\b[0-9a-f]{64}(?=\.json|\.zip)"), "<asset hash>"),
    (re.compile(r"(?<=sha256:)[0-9a-f]{64}"), "<model digest>"),
    (re.compile(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}"), r"\1<version>"),
    (re.compile(r"(Deployment[0-9A-F]{8})[0-9a-f]{32}"), r"\1<deployment>"),
)


def normalised(template: dict[str, Any]) -> dict[str, Any]:
    """The template without hashes, and without the parts that CDK adds to every stack."""
    text = json.dumps(template)
    for pattern, replacement in _MASKS[::-1]:
        text = pattern.sub(replacement, text)
    masked: dict[str, Any] = json.loads(text)
    for part in ("Parameters", "Rules"):
        masked.pop(part, None)
    return masked
