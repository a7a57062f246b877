"""One thing that is wrong in a template, and one rule that finds such things."""

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
        code: The check's; stable.
        severity: See there.
        logical_id: The resource that is to be changed.
        location: Where in it, as a path of property names.
        got: What is there.
        allowed: What would do.
        fix: How to mend it.
        construct_path: Of the resource in the CDK app, when the template tells.
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
        why: What happens where it is broken.
        source: Where the rule comes from.
        find: Yields what breaks it.
    """

    code: str
    title: str
    why: str
    source: str
    find: Callable[[Template], Iterator[Finding]]
