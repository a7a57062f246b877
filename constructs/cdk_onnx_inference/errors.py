"""The exception that this library raises for a wrong configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, and how to fix it.

    Args:
        code: Stable identifier in kebab case, e.g. `memory-size-range`. Codes are public API: they are never renamed or
            reused, so tests and tools can compare them.
        path: The value that is meant: the construct's path, a dot and the argument, e.g. `Shop/Digits.memory_size`.
        got: The value that was given, in readable form.
        allowed: What would be accepted, with its unit.
        fix: What to do.
    """

    code: str
    path: str
    got: str
    allowed: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: got {self.got}; allowed: {self.allowed}. {self.fix} [{self.code}]"


class InvalidInferenceConfig(ValueError):
    """A configuration that CDK would accept, or reject later and less clearly.

    All problems of a construct are raised together, before the construct adds anything to the stack. (CDK does not
    export its own `ValidationError`; Python can catch it only as `RuntimeError`.)

    Args:
        problems: What is wrong; at least one.

    Attributes:
        problems: What is wrong, as a tuple, in the order of the construct's arguments.
    """

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("InvalidInferenceConfig needs at least one Problem")
        count = len(self.problems)
        heading = "1 problem" if count == 1 else f"{count} problems"
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{heading} in the inference configuration:{lines}")
