"""The handler as tests/runtime serves it."""

from tests.runtime.conftest import serve as serve
