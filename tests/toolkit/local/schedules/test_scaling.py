"""Scalable targets come and go with what is deployed. Its cloud is a fake here; test_schedules.py has a real one."""

from types import SimpleNamespace

from onnx_inference.local import Clock
from onnx_inference.local.cloud.records import RecordedResource
from onnx_inference.local.schedules.agenda import Agenda
from onnx_inference.local.schedules.scaling import TARGET, Scaling


def test_a_refused_action_is_named_as_long_as_its_target_is_deployed():
    properties = {
        "MinCapacity": 1,
        "MaxCapacity": 2,
        "ResourceId": "function:f:live",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
        "ScheduledActions": [{"ScheduledActionName": "Open", "Schedule": "cron(0 8 * * * *)"}],
    }
    target = RecordedResource(TARGET, "Target", "000000000000", "us-east-1", properties)
    deployed = [target]
    cloud = SimpleNamespace(recorded=SimpleNamespace(of_type=lambda kind: deployed if kind == TARGET else []))
    clock = Clock(speed=0)
    agenda = Agenda(clock, lambda: None)
    scaling = Scaling(cloud, clock, agenda, utilization=lambda *_: [], provision=lambda: None, note=lambda _: None)
    scaling.refresh()
    assert "exactly one of" in scaling.refused["Open"]
    deployed.clear()
    scaling.refresh()
    assert scaling.refused == {}
    agenda.close()
