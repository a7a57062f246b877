"""SnapStart, and what excludes it."""

from collections.abc import Iterator

from onnx_inference.doctor.checks.concurrency import provisioned
from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import FUNCTION, Resource, Template

_SNAP_START = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"


def _functions(template: Template) -> Iterator[Resource]:
    for function in template.resources(FUNCTION):
        if function.value("SnapStart", "ApplyOn") == "PublishedVersions":
            yield function


def _exclusions(template: Template) -> Iterator[Finding]:
    with_provisioned = {function.logical_id: qualifier for qualifier, function in provisioned(template)}
    for function in _functions(template):
        storage = function.number("EphemeralStorage", "Size", default=512)
        excluded = [
            ("FileSystemConfigs", "a mounted file system", bool(function.value("FileSystemConfigs"))),
            ("EphemeralStorage.Size", f"{storage or 0:g} MB of /tmp", storage is not None and storage > 512),
            ("SnapStart.ApplyOn", "provisioned concurrency", function.logical_id in with_provisioned),
        ]
        for location, got, found in excluded:
            if found:
                yield Finding.at(
                    function,
                    code="snap-start-excluded",
                    severity="error",
                    location=location,
                    got=f"SnapStart with {got}",
                    allowed="neither a file system, nor more than 512 MB of /tmp, nor provisioned concurrency",
                    fix="Put what it needs into the image, or do without SnapStart: Lambda refuses the two together.",
                )


CHECKS = (
    Check(
        code="snap-start-excluded",
        title="SnapStart stands alone",
        why="Lambda refuses it, after the template was accepted.",
        source=_SNAP_START,
        find=_exclusions,
    ),
)
