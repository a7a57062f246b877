"""A container engine that is not there; with a real one the tests of tests/container deploy."""

import pytest

from onnx_inference.local import LocalTwin
from onnx_inference.local.lambda_host.invocation import NotServed

pytest.importorskip("ministack")


def test_a_twin_that_cannot_start_leaves_no_cloud_running():
    with pytest.raises(NotServed, match="'no-such-engine' was not found"):
        LocalTwin(container_engine="no-such-engine").start()
    with LocalTwin() as twin:
        assert twin.endpoints() == []
