"""The prebuilt stack AsyncJobs: its outputs, and what of the context reaches it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from cdk_onnx_inference import ColdStart, Removal
from stacks.async_jobs import AsyncJobs, Notices
from stacks.context import Prebuilt, async_jobs_options, large_model_options, realtime_options, wanted_stack
from stacks.large_model import Source
from tests.constructs.conftest import Codes
from tests.stacks.test_realtime import run_app
from tests.support import models, synth

MODEL = Path("examples/digits/model.onnx")


def read(**context: Any) -> Any:
    return async_jobs_options(App(context=context).node, default_model=MODEL)


def made(tmp_path: Path, **options: Any) -> synth.Template:
    path = models.save_package(tmp_path / "digits")
    return synth.template_of(AsyncJobs(synth.new_app(tmp_path / "cdk.out"), "AsyncJobs", path=path, **options))


def test_outputs(tmp_path: Path) -> None:
    assert sorted(made(tmp_path)["Outputs"]) == [
        "AliasArn",
        "DeadLetterQueue",
        "Endpoint",
        "FunctionName",
        "JobsQueue",
        "JobsTable",
        "ParkedQueue",
        "PayloadBucket",
    ]


def test_a_topic_is_an_output_too_and_takes_tls_only(tmp_path: Path) -> None:
    template = made(tmp_path, notices=Notices.TOPIC)
    assert template["Outputs"]["NoticesTopic"]["Value"] == synth.only(template, "AWS::Pipes::Pipe")["Target"]
    assert "aws:SecureTransport" in json.dumps(synth.only(template, "AWS::SNS::TopicPolicy"))


def test_notices_on_the_accounts_event_bus(tmp_path: Path) -> None:
    target = synth.only(made(tmp_path, notices=Notices.EVENT_BUS), "AWS::Pipes::Pipe")["Target"]
    assert json.dumps(target).endswith(':event-bus/default"]]}')


def test_removal_is_that_of_all_that_is_stored(tmp_path: Path) -> None:
    template = made(tmp_path, source=Source.EFS, removal=Removal.destroy(reason="a test"))
    for kind in ("AWS::DynamoDB::GlobalTable", "AWS::S3::Bucket", "AWS::EFS::FileSystem"):
        (resource,) = synth.resources_of(template, kind)
        assert (resource["DeletionPolicy"], resource["Metadata"]["RemovalReason"]) == ("Delete", "a test")


def test_app_makes_the_stack_that_is_asked_for_and_no_other(tmp_path: Path) -> None:
    models.save(models.matmul(), tmp_path / "mine")
    context = {"stack": "async-jobs", "model": "mine", "timeout": "120", "max_concurrency": "3", "batch_size": "20"}
    done = run_app(tmp_path / "out", context, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert [path.name for path in (tmp_path / "out").glob("*.template.json")] == ["AsyncJobs.template.json"]
    template = json.loads((tmp_path / "out" / "AsyncJobs.template.json").read_text())
    timeouts = {
        function["Properties"]["ImageConfig"]["Command"][0]: function["Properties"]["Timeout"]
        for function in synth.resources_of(template, "AWS::Lambda::Function")
    }
    assert (timeouts["onnx_handler.http.handler"], timeouts["onnx_handler.queue.handler"]) == (29, 120)
    sources = [source["Properties"] for source in synth.resources_of(template, "AWS::Lambda::EventSourceMapping")]
    assert {(source["BatchSize"], source["ScalingConfig"]["MaximumConcurrency"]) for source in sources} == {
        (20, 3),
        (10, 2),
    }


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, Prebuilt.REALTIME),
        ({"source": "efs"}, Prebuilt.LARGE_MODEL),
        ({"stack": "realtime"}, Prebuilt.REALTIME),
        ({"stack": "large-model"}, Prebuilt.LARGE_MODEL),
        ({"stack": "async-jobs"}, Prebuilt.ASYNC_JOBS),
        ({"stack": "async-jobs", "source": "efs"}, Prebuilt.ASYNC_JOBS),
    ],
)
def test_which_stack(context: dict[str, str], expected: Prebuilt) -> None:
    assert wanted_stack(App(context=context).node) is expected


def test_fails_on_a_stack_that_there_is_not(codes: Codes) -> None:
    assert codes(lambda: wanted_stack(App(context={"stack": "batch"}).node)) == ["context-value"]


def test_defaults() -> None:
    options = read()
    assert (options["path"], options["source"], options["timeout"].to_seconds()) == (str(MODEL), None, 60)
    assert (options["max_concurrency"], options["batch_size"], options["micro_batch_size"]) == (None, 10, 1)
    assert (options["batching_window"], options["job_timeout"], options["notices"]) == (None, None, None)
    assert (options["retention"].to_days(), options["removal"]) == (14, Removal.retain())
    assert options["cold_start"] == ColdStart.on_demand()


def test_every_option() -> None:
    options = read(
        batch_size="100",
        batching_window="2",
        cold_start="snap-start",
        job_timeout="7200",
        max_concurrency="50",
        micro_batch_size="32",
        notices="event-bus",
        removal="destroy",
        removal_reason="why",
        retention="3",
        source="s3",
        timeout="300",
    )
    durations = [options[name].to_seconds() for name in ("batching_window", "job_timeout", "timeout")]
    assert (durations, options["retention"].to_days()) == ([2, 7200, 300], 3)
    assert (options["batch_size"], options["max_concurrency"], options["micro_batch_size"]) == (100, 50, 32)
    assert (options["notices"], options["source"]) == (Notices.EVENT_BUS, Source.S3)
    assert options["removal"] == Removal.destroy(reason="why")
    assert options["cold_start"] == ColdStart.snap_start()


@pytest.mark.parametrize(
    "context",
    [
        {"notices": "mail"},
        {"source": "ftp"},
        {"max_concurrency": "many"},
        {"batching_window": "1.5"},
        {"keep_versions": "3"},
    ],
)
def test_fails_on(codes: Codes, context: dict[str, Any]) -> None:
    assert codes(lambda: read(**context)) == ["context-value"]


@pytest.mark.parametrize("read_other", [realtime_options, large_model_options])
@pytest.mark.parametrize("key", ["batch_size", "job_timeout", "max_concurrency", "micro_batch_size", "retention"])
def test_options_of_jobs_are_refused_without_jobs(codes: Codes, read_other: Any, key: str) -> None:
    assert codes(lambda: read_other(App(context={key: "3"}).node, default_model=MODEL)) == ["context-value"]
