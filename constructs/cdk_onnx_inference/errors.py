"""The one exception this library raises for a bad configuration, and what it carries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, and how to put it right.

    Args:
        code: Stable identifier in kebab case, e.g. `memory-size-range`. Public API: a code is never renamed or reused
            for something else, so tests and tools may compare it.
        path: Which value is meant: the construct's path, a dot, the argument. E.g. `Shop/Digits.memory_size`.
        got: The value that was given, as a reader would write it.
        allowed: What would have been accepted, with its unit.
        fix: What to do about it.
    """

    code: str
    path: str
    got: str
    allowed: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: got {self.got}; allowed: {self.allowed}. {self.fix} [{self.code}]"


class InvalidInferenceConfig(ValueError):
    """A configuration that CDK would let through, or reject later and less clearly.

    All problems of a construct are collected and raised together, before the construct adds anything to the stack.
    (CDK's own `ValidationError` cannot be caught from Python other than as `RuntimeError`: it is not exported.)

    Args:
        problems: What is wrong; at least one.

    Attributes:
        problems: The same, as a tuple, in the order of the construct's arguments.
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
