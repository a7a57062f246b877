"""A twin per test module: a process can hold one embedded cloud at a time."""

from collections.abc import Iterator

import pytest

from onnx_inference.local import LocalTwin


@pytest.fixture(scope="module")
def twin() -> Iterator[LocalTwin]:
    """A twin to which nothing is deployed yet."""
    with LocalTwin() as twin:
        yield twin
