"""`submit`, `wait` and `redrive` as commands."""

import json
import os

import pytest
from click.testing import CliRunner

from onnx_inference.cli import main
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud


@pytest.fixture
def run(url):
    def call(command, *arguments, given=None):
        return CliRunner().invoke(main, [command, url, "--model", "double", "--auth", "none", *arguments], input=given)

    return call


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_job(run, api):
    submitted = run("submit", "-i", "x=[1.5, 2]", "--id", "one", "--job-timeout", "60")
    assert (submitted.exit_code, submitted.stdout) == (0, "one\n")
    waited = run("wait", "one")
    assert waited.exit_code == 0
    (line,) = lines(waited)
    assert (line["id"], line["status"]) == ("one", "SUCCEEDED")
    assert line["result"]["outputs"][0]["data"] == [3.0, 4.0]


def test_a_line_for_each_job(run, api):
    api.polls_to_finish = 1
    given = "\n".join(json.dumps({"id": f"j{n}", "x": [float(n)]}) for n in range(20))
    submitted = run("submit", "--lines", "-", given=given)
    assert submitted.exit_code == 0
    assert [line["id"] for line in lines(submitted)] == [f"j{n}" for n in range(20)]
    waited = run("wait", "--lines", "-", "--no-results", given=submitted.stdout)
    assert waited.exit_code == 0
    assert lines(waited) == [{"id": f"j{n}", "status": "SUCCEEDED"} for n in range(20)]


def test_the_exit_status_says_whether_all_succeeded(run, api):
    run("submit", "-i", "x=[1]", "--id", "a")
    api.end = "FAILED"
    failed = run("wait", "a")
    assert failed.exit_code == 1
    assert lines(failed) == [{"id": "a", "status": "FAILED", "error": "the model said no"}]
    api.polls_to_finish = 10**9
    run("submit", "-i", "x=[1]", "--id", "b")
    late = run("wait", "b", "--timeout", "0.2")
    assert late.exit_code == 3
    assert lines(late)[0]["status"] == "QUEUED"
    unknown = run("wait", "c")
    assert unknown.exit_code == 1
    assert "no such job" in lines(unknown)[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "given", "text"),
    [
        ([], None, "Give either --input or --lines"),
        (["-i", "x=1", "--lines", "-"], "", "Give either --input or --lines"),
        (["--lines", "-", "--id", "a"], "", "--id names one job"),
        (["-i", "x"], None, "is not NAME=VALUE"),
        (["--lines", "-"], "[1]", "line 1: a JSON object is expected, got list"),
        (["--lines", "-"], '{"x": [1]}\nno', "line 2: not JSON"),
    ],
)
def test_wrong_use_says_what_is_right(run, arguments, given, text):
    result = run("submit", *arguments, given=given)
    assert result.exit_code == 2
    assert text in result.output


@pytest.mark.parametrize("arguments", [["submit", "-i", "x=1"], ["wait", "one"]])
def test_what_is_no_url_is_said_at_once(arguments):
    command, *rest = arguments
    result = CliRunner().invoke(main, [command, "jobs.example.com", "--model", "double", *rest])
    assert (result.exit_code, result.output) == (1, "Error: 'jobs.example.com' is not an http or https URL\n")


def test_a_refused_line_is_told_and_the_others_are_submitted(run, api):
    run("submit", "-i", "x=[1.0]", "--id", "taken")
    given = json.dumps({"id": "taken", "x": [2.0]}) + "\n" + json.dumps({"id": "free", "x": [2.0]})
    result = run("submit", "--lines", "-", given=given)
    assert result.exit_code == 1
    first, second = lines(result)
    assert "409" in first["error"]
    assert second == {"id": "free", "status": "QUEUED"}


@pytest.fixture(scope="module")
def cloud():
    pytest.importorskip("ministack")
    cloud = EmbeddedCloud(lambda arn, payload: pytest.fail("not called"))
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture
def parked(cloud, monkeypatch):
    """A stack with two queues and a table; a parked message for each kind of record."""
    for name, value in cloud.credentials().environment().items():
        monkeypatch.setenv(name, value)
    key = {"AttributeName": "id", "KeyType": "HASH"}
    table = {
        "KeySchema": [key],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    template = {
        "Resources": {
            "Table": {"Type": "AWS::DynamoDB::Table", "Properties": table},
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Parked": {"Type": "AWS::SQS::Queue"},
        },
        "Outputs": {
            "JobsTable": {"Value": {"Ref": "Table"}},
            "JobsQueue": {"Value": {"Ref": "Queue"}},
            "ParkedQueue": {"Value": {"Ref": "Parked"}},
        },
    }
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName="Jobs", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="Jobs", WaiterConfig={"Delay": 1})
    described = cloudformation.describe_stacks(StackName="Jobs")["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    sqs, dynamodb = cloud.client("sqs"), cloud.client("dynamodb")
    for job, status, mark in (("a", "FAILED", "m1"), ("b", "SUCCEEDED", "m2"), ("c", "FAILED", "m9")):
        item = {"id": {"S": job}, "status": {"S": status}, "parked": {"S": mark}, "error": {"S": "out of memory"}}
        dynamodb.put_item(TableName=outputs["JobsTable"], Item=item)
    for job, mark in (("a", "m1"), ("b", "m2"), ("c", "m3"), ("gone", "m4")):
        body = json.dumps({"id": job, "model": "m", "body": "{}", "parked": mark})
        sqs.send_message(QueueUrl=outputs["ParkedQueue"], MessageBody=body)
    yield outputs
    cloudformation.delete_stack(StackName="Jobs")


def bodies(cloud, url):
    found = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return {json.loads(message["Body"])["id"] for message in found.get("Messages", [])}


def test_redriving_moves_what_can_be_revived(cloud, parked):
    dry = CliRunner().invoke(main, ["redrive", "Jobs", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "would move a: out of memory" in dry.output
    assert dry.output.endswith("2 would be moved, 2 left\n")
    assert bodies(cloud, parked["JobsQueue"]) == set()
    assert bodies(cloud, parked["ParkedQueue"]) == {"a", "b", "c", "gone"}
    done = CliRunner().invoke(main, ["redrive", "Jobs"])
    assert done.exit_code == 0, done.output
    assert "left b: the job is SUCCEEDED" in done.output
    assert "left c: the job failed another time since" in done.output
    assert bodies(cloud, parked["JobsQueue"]) == {"a", "gone"}
    assert bodies(cloud, parked["ParkedQueue"]) == {"b", "c"}


def test_redriving_by_names(cloud, parked):
    queue, kept = (parked[name].rpartition("/")[2] for name in ("JobsQueue", "ParkedQueue"))
    arguments = ["--queue", queue, "--parked", kept, "--table", parked["JobsTable"], "--limit", "1", "--dry-run"]
    result = CliRunner().invoke(main, ["redrive", *arguments])
    assert result.exit_code == 0, result.output
    assert len(result.output.splitlines()) == 2


def test_redriving_takes_the_region_of_the_environment(cloud, parked, monkeypatch):
    monkeypatch.setenv("AWS_REGION", os.environ["AWS_DEFAULT_REGION"])
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = CliRunner().invoke(main, ["redrive", "Jobs", "--dry-run"])
    assert result.exit_code == 0, result.output
    monkeypatch.delenv("AWS_REGION")
    result = CliRunner().invoke(main, ["redrive", "Jobs", "--dry-run"])
    assert (result.exit_code, result.output) == (1, "Error: You must specify a region.\n")


def test_redriving_what_is_not_there(cloud, parked):
    missing = CliRunner().invoke(main, ["redrive", "NoSuchStack"])
    assert missing.exit_code == 1
    assert "NoSuchStack" in missing.output
    assert CliRunner().invoke(main, ["redrive"]).exit_code == 2
    assert CliRunner().invoke(main, ["redrive", "Jobs", "--queue", "q"]).exit_code == 2
    nobody = CliRunner().invoke(main, ["redrive", "--queue", "none", "--parked", "none", "--table", "none"])
    assert nobody.exit_code == 1
    assert "There is no queue none" in nobody.output
