"""The checks as a validation plugin: a part of each synth of a CDK app."""

from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from onnx_inference.doctor.checks import ALL
from onnx_inference.doctor.examination import examine, templates
from onnx_inference.doctor.finding import Finding

_SOURCES = {check.code: check.source for check in ALL}


@jsii.implements(IPolicyValidationPlugin)
class ServerlessInferenceChecks:
    """Examines every stack of an app when it is synthesised: `Validations.of(app).add_plugins(...)`.

    Args:
        ignore: Codes of checks that are left out, for all resources. To leave out one resource, use CDK's
            `Validations.of(construct).acknowledge(id=..., reason=...)`. Default: none.
        strict: Whether warnings fail the synth too. Default: only errors do; warnings are in the validation report.

    Raises:
        ValueError: `ignore` has a code that no check has.
    """

    def __init__(self, *, ignore: Collection[str] = (), strict: bool = False) -> None:
        unknown = sorted(set(ignore) - {check.code for check in ALL})
        if unknown:
            raise ValueError(f"no such check: {unknown}; there are {[check.code for check in ALL]}")
        self._ignore = frozenset(ignore)
        self._strict = strict

    @property
    def name(self) -> str:
        """The plugin's name in the report."""
        return "cdk-onnx-inference"

    @property
    def version(self) -> str:
        """The plugin's version in the report."""
        return version("cdk-onnx-inference")

    @property
    def rule_ids(self) -> list[str]:
        """The codes of the checks."""
        return [check.code for check in ALL if check.code not in self._ignore]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Examines the templates that CDK has written."""
        violations = []
        failed = False
        for path in context.template_paths:
            (template,) = templates(Path(path))
            for finding in examine(template, ignore=self._ignore):
                failed |= self._strict or finding.severity == "error"
                violations.append(_violation(finding, path))
        return PolicyValidationPluginReport(success=not failed, violations=violations)


def _violation(finding: Finding, template_path: str) -> Any:
    return PolicyViolation(
        rule_name=finding.code,
        description=f"got {finding.got}; allowed: {finding.allowed}",
        fix=finding.fix,
        severity=finding.severity,
        rule_metadata={"source": _SOURCES[finding.code]},
        violating_resources=[
            PolicyViolatingResource(
                resource_logical_id=finding.logical_id,
                template_path=template_path,
                locations=[f"Properties/{finding.location.replace('.', '/')}" if finding.location else ""],
            )
        ],
    )
