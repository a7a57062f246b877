"""The error of a model, or a package, that does not pass."""


class Refused(Exception):
    """A model, or the package made of it, does not pass.

    Attributes:
        code: Stable. Where the constructs find the same fault at synth, they use the same code.
        problem: What is wrong.
        fix: What to do about it.
    """

    def __init__(self, code: str, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.code = code
        self.problem = problem
        self.fix = fix
