"""Async inference deployed to a twin, with a proxy between its functions and the cloud."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onnx_inference.local import HostLimits, LocalTwin
from tests.e2e.faults.fault_proxy import FaultProxy
from tests.e2e.faults.job_runs import JobService, synthesise

SEED = 20_261_122


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with FaultProxy(SEED) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def assembly(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesise(tmp_path_factory.mktemp("faults"), proxy)


@pytest.fixture(scope="module")
def service(assembly: Path, proxy: FaultProxy) -> Iterator[JobService]:
    with LocalTwin(enforce_auth=False, limits=HostLimits(environments_per_version=4)) as twin:
        twin.deploy(assembly=assembly)
        yield JobService(twin, assembly, proxy)
