"""A model, and what is said of bad options: as for the constructs that the stacks are made of."""

from tests.constructs.conftest import codes, model, model_path, stack

__all__ = ["codes", "model", "model_path", "stack"]
