"""A new version gets traffic only if its hooks allow it: real packages, hooks and requests on the local twin."""

import contextlib
import hashlib
import io
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from rich.console import Console

from onnx_inference.local import Clock, DeploymentError, LoadPlan, LocalTwin
from onnx_inference.local.cloudwatch.query import evaluate
from onnx_inference.local.cloudwatch.series import Window
from onnx_inference.local.load.command import run_load
from onnx_inference.local.report import Report
from tests.e2e.packages import prepare

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parents[1] / "examples" / "digits" / "model.onnx"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A prepared package, and others whose model was changed after the golden samples were made."""
    place = tmp_path_factory.mktemp("packages")
    prepare(DIGITS, place / "first")

    def changed(name, change):
        shutil.copytree(place / "first", place / name)
        model = onnx.load(place / name / "model.onnx")
        change(model.graph)
        onnx.save(model, place / name / "model.onnx")
        manifest = json.loads((place / name / "manifest.json").read_text())
        content = (place / name / "model.onnx").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        manifest["parts"] = [{"path": "model.onnx", "size": len(content), "sha256": digest}]
        manifest["digest"] = "sha256:" + hashlib.sha256(f"{digest}  model.onnx\n".encode()).hexdigest()
        (place / name / "manifest.json").write_text(json.dumps(manifest))

    def other_weights(graph):
        for tensor in graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.1), tensor.name))

    def same_answers(graph):
        graph.doc_string = "the same in other words"

    def no_graph(graph):
        graph.node[0].input[0] = "what nothing makes"

    changed("good", same_answers)
    changed("wrong", other_weights)
    changed("broken", no_graph)
    return place


@pytest.fixture(scope="module")
def twin(packages):
    with LocalTwin(clock=Clock(speed=60)) as twin:
        twin.deploy(directory=HERE / "rollout_app", context={"package": str(packages / "first")})
        yield twin


@contextlib.contextmanager
def requests_meanwhile(twin):
    """Sends requests one after another; gives the list of their statuses."""
    body = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.0] * 64}]}
    request = urllib.request.Request(
        f"{twin.endpoints()[0].url}v2/models/digits/infer",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    statuses, over = [], threading.Event()

    def send():
        while not over.is_set():
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    statuses.append(response.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
            over.wait(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield statuses
    finally:
        over.set()
        sender.join()


def requested(twin):
    return [record for record in twin.invocations() if record.kind == "request"]


def alias(twin):
    (function,) = twin.endpoints()[0].functions
    return twin.client("lambda").get_alias(FunctionName=function.name, Name=function.qualifier)


def test_the_first_deployment_runs_no_hook(twin):
    assert twin.rollouts() == []
    assert alias(twin)["FunctionVersion"] == "1"
    assert {record.function_version for record in twin.invocations()} <= {"1"}


def test_a_good_version_gets_a_part_of_the_traffic_and_then_all_of_it(twin, packages):
    with requests_meanwhile(twin) as statuses:
        twin.update(context={"package": str(packages / "good"), "shift": "canary"})
    (rollout,) = twin.rollouts()
    assert rollout.result == "Succeeded"
    assert (rollout.from_version, rollout.to_version) == ("1", "2")
    assert [(hook.event, hook.status) for hook in rollout.hooks] == [
        ("BeforeAllowTraffic", "Succeeded"),
        ("AfterAllowTraffic", "Succeeded"),
    ]
    assert [step.percentage for step in rollout.steps] == [50, 100]
    part, whole = (step.at for step in rollout.steps)
    assert (whole - part).total_seconds() >= 119  # of the clock, which runs 60 times as fast
    assert rollout.alarms
    assert rollout.unwatched == ()
    assert set(statuses) == {200}
    versions = [(record.started_at, record.function_version) for record in requested(twin)]
    assert {version for at, version in versions if at < part} == {"1"}
    assert {version for at, version in versions if part < at < whole} == {"1", "2"}
    assert alias(twin)["FunctionVersion"] == "2"
    assert "RoutingConfig" not in alias(twin)


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("wrong", r"sample 0, output 'logits': .* of it is as expected, and 100.0% must be"),
        ("broken", r"the answer is 503: .*is not ready: .* cannot load"),
    ],
)
def test_a_version_that_answers_otherwise_or_not_at_all_never_gets_traffic(twin, packages, package, reason):
    before, seen = alias(twin)["FunctionVersion"], len(requested(twin))
    said = rf"the hook BeforeAllowTraffic .* reported Failed: .*{reason}"
    with requests_meanwhile(twin) as statuses, pytest.raises(DeploymentError, match=said):
        twin.update(context={"package": str(packages / package), "shift": "no"})
    rollout = twin.rollouts()[-1]
    assert (rollout.result, rollout.steps, rollout.from_version) == ("Failed", (), before)
    assert [(hook.event, hook.status) for hook in rollout.hooks] == [("BeforeAllowTraffic", "Failed")]
    # The hook did ask the new version; no request ever met it.
    assert rollout.to_version in {record.function_version for record in twin.invocations()}
    during = requested(twin)[seen:]
    assert len(during) == len(statuses) > 5
    assert {record.function_version for record in during} == {before}
    assert set(statuses) == {200}
    assert alias(twin)["FunctionVersion"] == before
    assert twin.client("cloudformation").describe_stacks(StackName="Shop")["Stacks"][0]["StackStatus"] == (
        "UPDATE_ROLLBACK_COMPLETE"
    )


def test_errors_of_the_new_version_take_its_traffic_back(twin, packages):
    before = alias(twin)["FunctionVersion"]
    (function,) = twin.endpoints()[0].functions
    done, over = len(twin.rollouts()), threading.Event()

    def break_it():
        """Invocations that the runtime fails, as soon as a part of the traffic goes to the new version."""
        while not over.wait(0.02):
            running = twin.rollouts()[done:]
            if running and running[0].steps and running[0].ended_at is None:
                twin.invoke(function.name, b"no JSON", qualifier=function.qualifier)

    breaker = threading.Thread(target=break_it)
    breaker.start()
    try:
        with pytest.raises(DeploymentError, match=r"an alarm went off: Shop-RolloutErrors.*GreaterThanOrEqual"):
            twin.update(context={"package": str(packages / "first"), "shift": "canary"})
    finally:
        over.set()
        breaker.join()
    (rollout,) = twin.rollouts()[done:]
    assert [step.percentage for step in rollout.steps] == [50, 0]
    assert [hook.event for hook in rollout.hooks] == ["BeforeAllowTraffic"]
    assert alias(twin)["FunctionVersion"] == before
    assert "RoutingConfig" not in alias(twin)


def test_after_a_failure_the_next_good_version_is_rolled_out(twin, packages):
    twin.update(context={"package": str(packages / "first"), "shift": "no"})
    rollout = twin.rollouts()[-1]
    assert rollout.result == "Succeeded"
    assert [step.percentage for step in rollout.steps] == [100]
    assert alias(twin)["FunctionVersion"] == rollout.to_version != rollout.from_version


def test_the_dashboard_is_drawn_with_what_a_load_made_of_it(twin, tmp_path):
    page, begin = tmp_path / "dashboard.html", twin.clock.time()
    report = Report(Console(file=io.StringIO(), width=120))
    run_load(twin, report, LoadPlan(20, 2), None, None, page)
    written = page.read_text()
    for title in ("Invocations", "Duration, ms", "Cold starts, % of invocations", "Latency, ms", "Requests"):
        assert f"<h3>{title}</h3>" in written
    # The widget of model loads may have no values: maybe no environment was started.
    graphs = re.findall(r'<h3>([^<]*)</h3>(?:<div class="wide"><svg|<ul class="empty"><li>No values)', written)
    drawn = re.findall(r'<h3>([^<]*)</h3><div class="wide"><svg', written)
    assert {"Invocations", "Duration, ms", "Requests", "Latency, ms", "digits: phases of an inference, ms"} <= set(
        drawn
    )
    assert len(graphs) >= len(drawn) > 6
    assert "the clock ran 60 times as fast" in written
    assert "<script" not in written
    # The numbers are those of the load: 40 requests, one for the model's metadata before.
    (board,) = twin.dashboards()
    observations, window = twin.observations(begin), Window(begin, 1, twin.clock.time() - begin + 1)

    def total(title, label):
        widget = next(widget for widget in board.widgets if getattr(widget, "title", "") == title)
        line = next(line for line in widget.lines if line.label == label)
        return evaluate(line.identifier, widget.queries, observations, window).points[0]

    assert total("Invocations", "Invocations") == 41
    assert total("Invocations", "Errors") == 0
    assert total("Requests", "Requests") == 41
    assert total("Answers of 4xx and 5xx", "5xx") == 0
    assert 0 < total("Latency, ms", "Latency p50") <= total("Latency, ms", "Latency p99")
    assert total("Environments running at once", "Concurrent executions") >= 1
    assert total("digits: phases of an inference, ms", "Predict") > 0
