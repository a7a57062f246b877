"""`onnx-inference local` as a process: what it prints, how it ends, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.support.cdk_app import synthesise
from tests.support.leftovers import alive, children, listening
from tests.support.waiting import wait_until

STACK = "Twin"


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=20) as response:
        return json.load(response)


def port_of(url):
    return int(url.split(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def assembly(twin_app, tmp_path_factory):
    return synthesise(twin_app, tmp_path_factory.mktemp("one") / "cdk.out")


@pytest.fixture
def command(tmp_path):
    """Runs `onnx-inference local` with its own directory for temporary files; kills what a failed test leaves."""
    started = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(*arguments):
        path = os.pathsep.join(p for p in sys.path if p)
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "onnx_inference.cli", "local", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "250", "TMPDIR": str(temporary)},
            process_group=0,
        )
        started.append(process)
        return process

    run.temporary = temporary
    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped_and_leaves_nothing(command, assembly, ending):
    process = command("--assembly", str(assembly), "--no-auth", STACK)
    printed = read_until(process, "Ready")
    assert "--no-auth" in printed
    assert "AWS::IAM::Role" in printed
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:" in printed
    assert "handlers.proxy" in printed
    urls = {
        line.partition(": ")[0]: line.partition(": ")[2].strip() for line in printed.splitlines() if ": http://" in line
    }
    assert get(f"{urls['HTTP API']}anything")["greeting"] == "one"
    line = read_until(process, "GET /anything 200")
    assert "cold, init" in line
    assert "/256 MB" in line
    workers = children(process.pid)
    ports = [port_of(url) for url in urls.values()]
    assert workers
    os.kill(process.pid, ending)
    assert process.wait(timeout=20) == 0
    assert not any(alive(pid) for pid in workers)
    assert not any(listening(port) for port in ports)
    assert list(command.temporary.iterdir()) == []


def test_an_interrupted_synthesis_leaves_nothing(command, tmp_path):
    marker = tmp_path / "started"
    process = command("--app", f"sleep 300 & touch {marker}; sleep 300")
    assert wait_until(marker.exists)
    (shell,) = children(process.pid)
    inner = children(shell)
    assert inner
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) == 130
    assert not any(alive(pid) for pid in [shell, *inner])
    assert list(command.temporary.iterdir()) == []


def test_the_command_makes_a_load_and_its_report_and_ends(command, assembly, tmp_path):
    report = tmp_path / "load.html"
    process = command(
        *("--assembly", str(assembly), "--no-auth", "--speed", "60", "--max-environments", "2"),
        *("--load", "10rps", "--for", "1s", "--path", "loaded", "--report", str(report), STACK),
    )
    printed = process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert "10 of 10 answered" in printed
    assert f"Written: {report}" in printed
    assert "the clock ran 60 times as fast" in report.read_text()
    assert report.with_suffix(".timeline.svg").is_file()
    assert list(command.temporary.iterdir()) == []


def test_the_command_says_what_is_wrong_without_a_stack_trace(command, assembly, tmp_path):
    for arguments, message in (
        (("--load", "fast"), "is no rate"),
        (("--load", "1rps", "--for", "long"), "is no time"),
        (("--load", "1rps", "--body", str(assembly / "manifest.json")), "--body needs --path"),
        (("--report", "x.html"), "belong to --load"),
        (("--speed", "0"), "0"),
    ):
        process = command(*arguments)
        assert message in process.stdout.read()
        assert process.wait(timeout=20) == 2
    process = command("--assembly", str(assembly), "Nothing")
    assert "no stack 'Nothing'. It has: Twin" in process.stdout.read()
    assert process.wait(timeout=20) == 1
    process = command("--app", "a", "--assembly", str(assembly))
    assert "exclude each other" in process.stdout.read()
    assert process.wait(timeout=20) == 2
    process = command("-c", "novalue", "--assembly", str(assembly))
    assert "not KEY=VALUE" in process.stdout.read()
    assert process.wait(timeout=20) == 2
    assert list(command.temporary.iterdir()) == []
