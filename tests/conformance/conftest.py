"""The fixture that serves a model, from tests/runtime."""

from tests.runtime.conftest import serve as serve
