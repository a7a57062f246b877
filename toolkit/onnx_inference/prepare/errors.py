"""Why a model is not prepared, and what mends it."""


class Refused(Exception):
    """A model, or what was made of it, does not pass.

    Attributes:
        code: Stable; where the constructs find the same fault at synth they use the same code.
        problem: What is wrong.
        fix: What to do about it.
    """

    def __init__(self, code: str, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.code = code
        self.problem = problem
        self.fix = fix
