"""The twin with an app of a user's own: deployed, served, updated, destroyed."""

import json
import shutil
import threading
import urllib.error
import urllib.request

import pytest

from onnx_inference.local import (
    AssemblyError,
    DeploymentError,
    IncompleteDeployment,
    LoadError,
    LoadPlan,
    LoadRequest,
    LoadSummary,
    LocalTwin,
)
from onnx_inference.local.deployment.cloud_assembly import CloudAssembly
from onnx_inference.local.lambda_host.invocation import NotServed
from tests.support.cdk_app import synthesise
from tests.support.leftovers import alive, listening
from tests.support.waiting import wait_until

STACK = "Twin"


@pytest.fixture(scope="module")
def assembly(twin_app, tmp_path_factory):
    return synthesise(twin_app, tmp_path_factory.mktemp("one") / "cdk.out")


@pytest.fixture(scope="module")
def twin(assembly):
    with LocalTwin() as twin:
        twin.deploy(assembly=assembly)
        yield twin


def endpoint(twin, kind):
    return next(e for e in twin.endpoints() if e.kind == kind)


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=20) as response:
        return json.load(response)


def status(url):
    try:
        urllib.request.urlopen(url, timeout=20).close()
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def port_of(url):
    return int(url.split(":")[2].partition("/")[0])


def test_it_serves_what_the_template_says(twin):
    kinds = {e.kind: (e.auth, e.functions[0].qualifier) for e in twin.endpoints()}
    assert kinds == {
        "HTTP API": ("IAM, none", "live"),
        "REST API": ("none", "live"),
        "Function URL": ("IAM", "live"),
    }
    assert twin.command_of(endpoint(twin, "HTTP API").functions[0]) == "handlers.proxy"


def test_outputs_lead_here(twin):
    outputs, local = twin.outputs(), twin.outputs(STACK, local=True)
    assert outputs["RestUrl"].startswith("https://")
    assert local["RestUrl"] == endpoint(twin, "REST API").url
    assert local["HttpUrl"] == endpoint(twin, "HTTP API").url
    assert local["FunctionUrl"] == endpoint(twin, "Function URL").url
    assert local["QueueUrl"] == outputs["QueueUrl"]
    api_id = outputs["HttpUrl"].removeprefix("https://").partition(".")[0]
    assert twin.local_url(f"http://{api_id}.execute-api.localhost:1/v2") == f"{local['HttpUrl']}v2"


def test_each_api_reaches_the_alias(twin, sign):
    rest_api = get(f"{endpoint(twin, 'REST API').url}a/b?x=1")
    assert rest_api["event"]["path"] == "/a/b"
    http_api = get(f"{endpoint(twin, 'HTTP API').url}open/door")
    assert http_api["event"]["pathParameters"] == {"name": "door"}
    url = endpoint(twin, "Function URL").url
    function_url = get(url, sign(twin.credentials, "GET", url, service="lambda"))
    assert function_url["event"]["version"] == "2.0"
    for answer in (rest_api, http_api, function_url):
        assert answer["arn"].endswith(":live")
        assert answer["greeting"] == "one"


def test_iam_routes_refuse_the_unsigned_and_take_the_signed(twin, sign):
    url = f"{endpoint(twin, 'HTTP API').url}v2/models/m"
    assert status(url) == 403
    assert get(url, sign(twin.credentials, "GET", url))["event"]["rawPath"] == "/v2/models/m"


def test_requests_share_one_environment_and_are_recorded(twin):
    url = f"{endpoint(twin, 'REST API').url}records"
    get(url)
    before = len(twin.invocations())
    get(url)
    (record,) = twin.invocations()[before:]
    assert (record.cold_start, record.status, record.function_version) == (False, "success", "1")


def test_boto3_invokes_through_the_same_host(twin):
    name = endpoint(twin, "HTTP API").function
    before = len(twin.invocations())
    answer = twin.client("lambda").invoke(FunctionName=name, Qualifier="live", Payload=b'{"from": "boto3"}')
    body = json.loads(json.load(answer["Payload"])["body"])
    assert body["event"] == {"from": "boto3"}
    assert body["arn"].endswith(f"{name}:live")
    assert len(twin.invocations()) == before + 1
    assert json.loads(json.loads(twin.invoke(name, b"{}").payload)["body"])["arn"].endswith(name)


def test_event_sources_run_the_function(twin):
    worker = next(
        r["PhysicalResourceId"]
        for r in twin.client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
        if r["LogicalResourceId"].startswith("Worker") and r["ResourceType"] == "AWS::Lambda::Function"
    )
    twin.client("sqs").send_message(QueueUrl=twin.outputs()["QueueUrl"], MessageBody="job")
    assert wait_until(lambda: twin.invocations(worker))
    assert wait_until(lambda: [d for d in twin.metrics("Predict") if d.function_name == worker])
    assert "one line" in [line.message for line in twin.logs(worker)]


def test_what_is_only_recorded_is_named(twin):
    recorded = {entry.resource_type: entry.reason for entry in twin.recorded_only()}
    assert "AWS::ApplicationAutoScaling::ScalableTarget" not in recorded
    assert recorded["AWS::IAM::Role"] == "policies are not enforced"
    assert "AWS::Lambda::Function" not in recorded
    assert "AWS::SQS::Queue" not in recorded


def test_every_logical_id_was_deployed(twin, monkeypatch):
    twin.assert_complete(STACK)
    monkeypatch.setattr(twin._deployment._cloudformation, "resources", lambda _: [])
    with pytest.raises(IncompleteDeployment, match="Function"):
        twin.assert_complete(STACK)
    with pytest.raises(KeyError):
        twin.assert_complete("Other")


def test_two_twins_cannot_share_a_process(twin):
    with pytest.raises(RuntimeError, match="already runs"):
        LocalTwin().start()


def test_a_machine_that_cannot_run_functions_is_told_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NotServed, match="for Linux only"):
        LocalTwin().start()


def test_an_unknown_stack_is_refused(twin, assembly):
    with pytest.raises(AssemblyError, match="no stack 'Other'"):
        twin.deploy(assembly=assembly, stacks=["Other"])


def changed_assembly(assembly, target, change):
    """A copy of the assembly whose template is changed."""
    shutil.copytree(assembly, target)
    path = CloudAssembly(target).stacks[0].template_path
    template = json.loads(path.read_text())
    change(template)
    path.write_text(json.dumps(template))
    return target


def test_a_failed_deployment_says_which_resource_and_why(twin, assembly, tmp_path):
    def break_it(template):
        properties = {"FunctionName": "nothing", "FunctionVersion": "1", "Name": "live"}
        template["Resources"]["Bad"] = {
            "Type": "AWS::Lambda::Alias",
            "Properties": properties | {"Name": {"Fn::GetAtt": ["Queue4A7E3555", "Nope"]}},
        }

    with pytest.raises(DeploymentError, match=STACK) as error:
        twin.update(assembly=changed_assembly(assembly, tmp_path / "bad", break_it))
    assert "Bad" in str(error.value)
    assert get(f"{endpoint(twin, 'REST API').url}still")["greeting"] == "one"


def test_a_load_is_put_together_from_what_client_and_twin_saw(twin):
    served = endpoint(twin, "REST API")
    progress = []
    result = twin.load(
        LoadPlan(rate=20, seconds=1),
        request=LoadRequest("load", method="GET"),
        url=served.url,
        on_progress=lambda test: progress.append(len(test.collected())),
    )
    assert [sample.number for sample in result.samples] == list(range(20))
    assert {sample.status for sample in result.samples} == {200}
    assert {sample.invocation.kind for sample in result.samples} == {"request"}
    assert len({sample.invocation.request_id for sample in result.samples}) == 20
    assert all(sample.latency_ms >= sample.invocation.duration_ms for sample in result.samples)
    spans = [span for record in result.environments for span in record.busy]
    assert {sample.invocation.request_id for sample in result.samples} <= {span.request_id for span in spans}
    assert progress == sorted(progress)
    assert progress[-1] == 20
    summary = LoadSummary.of(result)
    assert summary.answered == 20
    assert summary.cold.count == sum(sample.invocation.cold_start for sample in result.samples)


def test_a_load_whose_progress_cannot_be_shown_ends(twin):
    def fail(_test):
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        twin.load(LoadPlan(5, 60), request=LoadRequest("load", method="GET"), on_progress=fail)
    assert wait_until(lambda: "load" not in [thread.name for thread in threading.enumerate()], seconds=5)


def test_a_load_through_iam_is_signed(twin):
    served = endpoint(twin, "HTTP API")
    result = twin.load(LoadPlan(5, 1), request=LoadRequest("v2/any", method="GET"), url=served.url)
    assert {sample.status for sample in result.samples} == {200}
    url = endpoint(twin, "Function URL").url
    result = twin.load(LoadPlan(5, 1), request=LoadRequest("", method="GET"), url=url)
    assert {sample.status for sample in result.samples} == {200}


def test_a_load_on_what_is_no_model_says_what_to_give(twin):
    with pytest.raises(LoadError, match="--body and --path"):
        twin.load(LoadPlan(1, 1))
    with pytest.raises(LoadError, match="no such endpoint"):
        twin.load(LoadPlan(1, 1), url="http://127.0.0.1:1/")


def test_an_update_is_served_by_the_next_request(twin, twin_app, tmp_path_factory):
    """The last of this twin's tests but one: it leaves another version behind."""
    two = synthesise(twin_app, tmp_path_factory.mktemp("two") / "cdk.out", greeting="two")
    url = endpoint(twin, "REST API").url
    assert get(url)["greeting"] == "one"
    twin.update(assembly=two)
    answer = get(url)
    assert (endpoint(twin, "REST API").url, answer["greeting"]) == (url, "two")
    record = twin.invocations()[-1]
    assert (record.function_version, record.cold_start) == ("2", True)
    (deployed,) = twin.update()
    assert deployed.status in ("UPDATE_COMPLETE", "CREATE_COMPLETE")
    assert get(url)["greeting"] == "two"
    assert not twin.invocations()[-1].cold_start


def test_destroying_leaves_nothing(twin):
    """The last of this twin's tests."""
    pids = twin.processes()
    ports = [port_of(e.url) for e in twin.endpoints()]
    assert pids
    assert ports
    twin.destroy()
    assert twin.endpoints() == []
    assert twin.processes() == []
    assert not any(listening(port) for port in ports)
    assert not any(alive(pid) for pid in pids)
    assert [s for s in twin.client("cloudformation").describe_stacks()["Stacks"] if s["StackName"] == STACK] == []
    assert twin.client("lambda").list_functions()["Functions"] == []
    twin.stop()
    cloud_port = port_of(twin.credentials.endpoint_url)
    assert not listening(cloud_port)
