"""A finding in a template, and the check that makes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from onnx_inference.doctor.template import Resource, Template

#: An error will fail or lose work; a warning costs money, time or certainty.
Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        code: The check's code; stable.
        severity: `error` or `warning`.
        logical_id: The resource to change.
        location: The property to change, as a path of names; empty for the whole resource.
        got: What is there.
        allowed: What may be there.
        fix: What to do, and why.
        construct_path: The resource's path in the CDK app; empty when the template does not have it.
    """

    code: str
    severity: Severity
    logical_id: str
    location: str
    got: str
    allowed: str
    fix: str
    construct_path: str = ""

    @classmethod
    def at(
        cls, resource: Resource, *, code: str, severity: Severity, location: str, got: str, allowed: str, fix: str
    ) -> "Finding":
        """A finding in a resource."""
        return cls(
            code=code,
            severity=severity,
            logical_id=resource.logical_id,
            location=location,
            got=got,
            allowed=allowed,
            fix=fix,
            construct_path=resource.construct_path,
        )

    def __str__(self) -> str:
        where = f"{self.logical_id}.{self.location}" if self.location else self.logical_id
        return f"{where}: got {self.got}; allowed: {self.allowed}. {self.fix} [{self.code}]"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A rule.

    Attributes:
        code: Stable identifier; never renamed or reused.
        title: What the rule asks for, in a few words.
        why: What happens where the rule is broken.
        source: URL of the documentation or issue behind the rule.
        find: Yields a finding for each place where the rule is broken.
    """

    code: str
    title: str
    why: str
    source: str
    find: Callable[[Template], Iterator[Finding]]
