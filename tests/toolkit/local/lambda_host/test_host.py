"""The Lambda host against real runtime processes."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from onnx_inference.local.lambda_host.function_configuration import AliasRouting, DeployedFunction, FunctionArn
from onnx_inference.local.lambda_host.invocation import (
    NotServed,
    RequestEntityTooLarge,
    ResourceNotFound,
    TooManyRequests,
)
from tests.support.leftovers import alive
from tests.support.waiting import wait_until


def run(host, arn, event=None):
    result = host.invoke(arn, json.dumps(event or {}).encode())
    return json.loads(result.payload), result


def test_the_first_invocation_is_cold_and_the_next_is_warm(host, deployed):
    arn = deployed.add("f", "handlers.count")
    assert [run(host, arn)[0] for _ in range(3)] == [1, 2, 3]
    first, second, _ = host.records("f")
    assert (first.cold_start, second.cold_start) == (True, False)
    assert first.init_duration_ms > 0
    assert second.init_duration_ms is None
    assert first.billed_duration_ms >= first.init_duration_ms
    assert 1 < first.max_memory_used_mb <= first.memory_size_mb
    assert "Init Duration" in first.report()
    assert "Init Duration" not in second.report()


def test_the_runtime_is_given_what_lambda_gives(host, deployed, monkeypatch):
    monkeypatch.setenv("LEAKED", "from the caller's shell")
    monkeypatch.setenv("AWS_PROFILE", "real")
    arn = deployed.add("f", "handlers.echo", Environment={"Variables": {"MODEL_PATH": "model"}}, Timeout=7)
    value, result = run(host, arn, {"a": 1})
    environment = value["environment"]
    assert value["event"] == {"a": 1}
    assert value["arn"] == str(arn) == "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    assert value["version"] == "1"
    assert value["request_id"] == result.record.request_id
    assert 6000 < value["remaining_ms"] <= 7000
    assert value["cwd"] == environment["LAMBDA_TASK_ROOT"]
    assert "LEAKED" not in environment
    assert "AWS_PROFILE" not in environment
    assert environment["MODEL_PATH"] == "model"
    assert environment["TZ"] == ":UTC"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert Path(environment["HOME"]) != Path.home()
    assert "AWS_EXECUTION_ENV" not in environment


def test_the_command_of_the_dockerfile_is_the_default(host, deployed):
    arn = deployed.add("f", "", ImageConfigResponse={})
    assert run(host, arn, {"a": 2})[0]["event"] == {"a": 2}


def test_a_handlers_error_is_returned_and_the_environment_lives_on(host, deployed):
    arn = deployed.add("f", "handlers.fail")
    value, result = run(host, arn)
    assert result.function_error == "Unhandled"
    assert (value["errorType"], value["errorMessage"]) == ("ValueError", "no such thing")
    run(host, arn)
    assert [record.cold_start for record in host.records()] == [True, False]
    assert host.records()[0].status == "error"


def test_a_late_answer_kills_the_environment(host, deployed):
    arn = deployed.add("f", "handlers.sleep", Timeout=1)
    pid = run(host, arn)[0]["pid"]
    value, result = run(host, arn, {"seconds": 30})
    assert value == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {result.record.request_id} Error: Task timed out after 1.00 seconds",
    }
    assert result.record.status == "timeout"
    assert "Status: timeout" in result.record.report()
    assert not alive(pid)
    assert run(host, arn)[0]["pid"] != pid
    assert host.records()[-1].cold_start


def test_a_process_that_leaves_is_an_exit_error(host, deployed):
    arn = deployed.add("f", "handlers.leave")
    value, result = run(host, arn, {"status": 3})
    assert value["errorType"] == "Runtime.ExitError"
    assert value["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    value, _ = run(host, arn, {"status": 0})
    assert value["errorMessage"].endswith("Error: Runtime exited without providing a reason")
    assert result.record.status == "error"


def test_memory_beyond_the_functions_is_killed(host, deployed):
    arn = deployed.add("f", "handlers.allocate", MemorySize=128)
    assert run(host, arn, {"megabytes": 20})[0] == 20
    value, result = run(host, arn, {"megabytes": 400})
    assert value["errorType"] == "Runtime.OutOfMemory"
    assert value["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert result.record.max_memory_used_mb == 128
    assert host.environments() == []


def test_a_failed_import_is_tried_again_at_each_invocation(host, deployed):
    arn = deployed.add("f", "broken.handler")
    for _ in range(2):
        value, result = run(host, arn)
        assert value["errorType"] == "RuntimeError"
        assert value["errorMessage"] == "no model here"
        assert result.record.status == "init_error"
        assert result.record.cold_start
    # As on AWS: once in the init phase, once more in the invocation.
    assert [line.message for line in deployed.logs.lines("f")].count("importing") == 4


def test_a_missing_handler_is_named(host, deployed):
    value, _ = run(host, deployed.add("f", "nowhere.handler"))
    assert value["errorType"] == "Runtime.ImportModuleError"


def test_a_start_beyond_the_init_phase_is_bounded_by_the_timeout(host, deployed, monkeypatch):
    monkeypatch.setattr("onnx_inference.local.lambda_host.host.INIT_PHASE_SECONDS", 0.3)
    arn = deployed.add("f", "slow_start.handler", Timeout=1)
    started = time.monotonic()
    value, result = run(host, arn)
    assert value["errorType"] == "Sandbox.Timedout"
    assert result.record.status == "timeout"
    assert 1000 <= result.record.duration_ms < 1900
    assert time.monotonic() - started < 4
    assert host.environments() == []


def test_reserved_concurrency_refuses_what_is_beyond_it(host, deployed):
    arn = deployed.add("f", "handlers.sleep", reserved=1)
    busy = threading.Thread(target=run, args=(host, arn, {"seconds": 1}))
    busy.start()
    assert wait_until(lambda: host.environments())
    with pytest.raises(TooManyRequests) as error:
        # Versions share the function's concurrency.
        run(host, FunctionArn(arn.account, arn.region, "f", "2"))
    assert error.value.status_code == 429
    busy.join()
    run(host, arn)


def test_no_reserved_concurrency_left_means_no_invocation(host, deployed):
    with pytest.raises(TooManyRequests):
        run(host, deployed.add("f", "handlers.count", reserved=0))


def test_concurrent_invocations_have_environments_of_their_own_up_to_the_limit(make_host, deployed):
    host = make_host(environments_per_version=2)
    arn = deployed.add("f", "handlers.sleep")
    pids = []
    threads = [
        threading.Thread(target=lambda: pids.append(run(host, arn, {"seconds": 0.4})[0]["pid"])) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 3
    assert len(set(pids)) == 2
    assert max(record.queued_ms for record in host.records()) > 100


def test_idle_environments_expire(make_host, deployed):
    host = make_host(idle_seconds=0.2)
    run(host, deployed.add("f", "handlers.count"))
    assert wait_until(lambda: not host.environments())


def test_provisioned_environments_are_warm_before_the_first_request_and_stay(make_host, deployed):
    host = make_host(idle_seconds=0.2)
    arn = deployed.add("f", "handlers.echo")
    before = deployed.functions["f"]
    deployed.functions["f"] = DeployedFunction(before.configurations, before.aliases, None, {"live": 2})
    for _ in range(2):
        host.provision([arn])
        assert len(host.environments()) == 2
    time.sleep(0.6)
    assert len(host.environments()) == 2
    value, result = run(host, arn)
    assert value["environment"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    assert not result.record.cold_start


def test_weights_of_an_alias_share_out_the_invocations():
    routing = AliasRouting("1", {"2": 0.25})
    assert [routing.choose(lambda point=point: point) for point in (0.0, 0.24, 0.25, 0.99)] == ["2", "2", "1", "1"]


def test_a_moved_alias_serves_the_next_invocation_and_the_old_version_is_retired(host, deployed):
    arn = deployed.add("f", "handlers.echo")
    assert run(host, arn)[0]["version"] == "1"
    before = deployed.functions["f"]
    without = {name: config for name, config in before.configurations.items() if name != "1"}
    deployed.functions["f"] = DeployedFunction(without, {"live": AliasRouting("2")}, None, {})
    assert run(host, arn)[0]["version"] == "2"
    host.retain([arn])
    assert [environment.configuration.version for environment in host.environments()] == ["2"]


def test_what_does_not_exist_is_not_found(host, deployed):
    deployed.add("f", "handlers.echo")
    for name, qualifier in (("g", None), ("f", "staging"), ("f", "9")):
        with pytest.raises(ResourceNotFound):
            run(host, FunctionArn("000000000000", "us-east-1", name, qualifier))


def test_an_image_that_was_not_staged_is_named(host, deployed):
    with pytest.raises(NotServed, match="elsewhere:latest"):
        run(host, deployed.add("f", "handlers.echo", ImageUri="elsewhere:latest"))


def test_payloads_are_limited_in_both_directions(host, deployed):
    arn = deployed.add("f", "handlers.large")
    with pytest.raises(RequestEntityTooLarge):
        host.invoke(arn, b'"' + b"x" * 6_291_556 + b'"')
    value, result = run(host, arn, {"size": 6_291_600})
    assert result.function_error == "Unhandled"
    assert value["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(run(host, arn, {"size": 6_000_000})[0]) == 6_000_000


def test_output_is_kept_and_embedded_metrics_are_parsed(host, deployed):
    arn = deployed.add("f", "handlers.log")
    _, result = run(host, arn)
    assert wait_until(lambda: len(deployed.logs.lines("f")) >= 3)
    lines = deployed.logs.lines("f")
    assert {line.message for line in lines if not line.is_metrics} == {"one line", "to the error stream"}
    assert {line.request_id for line in lines} == {result.record.request_id}
    (metric,) = deployed.logs.metrics()
    assert (metric.namespace, metric.name, metric.values) == ("Test", "Predict", (1.5, 2.0))
    assert metric.dimensions == (("Model", "m"),)


def test_closing_leaves_no_process_and_no_file(make_host, deployed):
    host = make_host()
    arn = deployed.add("f", "handlers.echo")
    environment = run(host, arn)[0]["environment"]
    (pid,) = [environment.pid for environment in host.environments()]
    sleeper = deployed.add("g", "handlers.sleep")

    def be_busy():
        with contextlib.suppress(NotServed):
            run(host, sleeper, {"seconds": 30})

    busy = threading.Thread(target=be_busy)
    busy.start()
    assert wait_until(lambda: len(host.environments()) == 2)
    host.close()
    busy.join(timeout=30)
    assert not busy.is_alive()
    assert not alive(pid)
    assert not Path(environment["TMPDIR"]).exists()


def test_nothing_is_written_into_the_task_root(host, deployed, twin_app):
    run(host, deployed.add("f", "handlers.echo"))
    assert not list(twin_app.rglob("__pycache__"))


def test_requirements_of_a_processing_file_are_installed_once(make_host, deployed, tmp_path, monkeypatch):
    from onnx_inference.local.lambda_host import image_asset

    root = tmp_path / "asset"
    (root / "processing").mkdir(parents=True)
    (root / "processing" / "requirements.txt").write_text("# what pre.py needs\nsome-package==1.0\n")
    runs = []

    def pip(command, **_):
        runs.append(command)
        target = Path(command[command.index("--target") + 1])
        (target / "some_package.py").write_text("NAME = 'installed'")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(image_asset.subprocess, "run", pip)
    images = image_asset.ImageAssets(tmp_path / "cache")
    asset = image_asset.ImageAsset("tag", root)
    target = images.requirements_path(asset)
    assert (target / "some_package.py").is_file()
    assert images.requirements_path(asset) == target
    assert len(runs) == 1
    assert runs[0][:2] == [sys.executable, "-m"]
