"""Container images of functions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import FUNCTION, Template

_ASSET = re.compile(r":([0-9a-f]{64})\b")
_IMAGES = "https://docs.aws.amazon.com/lambda/latest/dg/images-create.html"
_PLATFORMS = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}


def _end(uri: Any) -> str | None:
    """The last characters of an ImageUri, as far as the template has them."""
    if isinstance(uri, str):
        return uri
    if isinstance(uri, Mapping):
        if isinstance(text := uri.get("Fn::Sub"), str | list):
            return text if isinstance(text, str) else str(text[0])
        joined = uri.get("Fn::Join")
        if isinstance(joined, list) and len(joined) == 2 and isinstance(joined[1], list) and joined[1]:
            return _end(joined[1][-1])
    return None


def _mutable(template: Template) -> Iterator[Finding]:
    for function in template.resources(FUNCTION):
        uri = function.value("Code", "ImageUri")
        end = None if uri is None else _end(uri)
        if end is None or end.endswith("}") or "sha256:" in end or _ASSET.search(end):
            continue
        tag = end.rpartition("/")[2].rpartition(":")
        yield Finding.at(
            function,
            code="image-tag-mutable",
            severity="warning",
            location="Code.ImageUri",
            got=f"the tag {tag[2]!r}" if tag[1] else "no tag, which is 'latest'",
            allowed="a digest (@sha256:...), or a tag that is never pushed again",
            fix="Name the image by its digest: when a tag is pushed again, the template stays the same, and "
            "nothing is deployed.",
        )


def _platform(template: Template) -> Iterator[Finding]:
    for function in template.resources(FUNCTION):
        end = _end(function.value("Code", "ImageUri")) or ""
        found = _ASSET.search(end)
        if found is None or found[1] not in template.image_platforms:
            continue
        architectures: Any = function.value("Architectures") or ["x86_64"]
        platform = template.image_platforms[found[1]]
        built_for = None if platform is None else _PLATFORMS.get(platform)
        wanted = architectures[0] if isinstance(architectures, list) else None
        if not isinstance(wanted, str) or built_for == wanted or (platform is not None and built_for is None):
            continue
        if platform is None and "Architectures" not in function.properties:
            continue  # both are defaults; whether they differ is not known before the deployment
        yield Finding.at(
            function,
            code="image-platform",
            severity="error" if platform is not None else "warning",
            location="Architectures",
            got=f"{wanted}, with an image built for {platform or 'whatever machine builds it'}",
            allowed=next(name for name, known in _PLATFORMS.items() if known == wanted)
            if wanted in _PLATFORMS.values()
            else "the same",
            fix="Give the image asset the platform of the function; otherwise the first invocation fails with "
            "exec format error.",
        )


CHECKS = (
    Check(
        code="image-tag-mutable",
        title="an image is named by its digest",
        why="A tag that is pushed again deploys nothing, or another image than was tested.",
        source=_IMAGES,
        find=_mutable,
    ),
    Check(
        code="image-platform",
        title="an image is built for the function's architecture",
        why="The first invocation fails.",
        source=_IMAGES,
        find=_platform,
    ),
)
