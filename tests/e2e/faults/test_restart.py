"""The whole cloud stopped in the middle of a run, and started again."""

import time

from onnx_inference.local import LocalTwin
from tests.e2e.faults.job_runs import JOBS, JobService


def test_a_restart_in_the_middle(assembly, proxy, tmp_path):
    state = tmp_path / "state"
    with LocalTwin(enforce_auth=False, state_directory=state) as twin:
        twin.deploy(assembly=assembly)
        service = JobService(twin, assembly, proxy)
        service.begin()
        ids = service.submit("restart")
        while not (done := sum(i["status"]["S"] == "SUCCEEDED" for i in service.records("restart").values())):
            time.sleep(0.05)
    print(f"stopped after {done} of {JOBS} jobs")
    with LocalTwin(enforce_auth=False, state_directory=state) as twin:
        twin.deploy(assembly=assembly)
        service.twin = twin
        service.attach()
        service.finish(ids, 90 + JOBS * 0.15)
        verdict = service.judge("restart", ids, may_fail=lambda _: False)
    assert verdict.statuses == {"SUCCEEDED": JOBS}
