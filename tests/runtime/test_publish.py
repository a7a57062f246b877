"""The custom resource that puts models on a mount: create, update, delete, rollback, repetition, and its answers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onnx_handler import publish
from onnx_handler.errors import ModelUnusable
from onnx_handler.model_objects import Part, digest_of
from onnx_handler.storage import s3
from tests.support.s3 import S3, document, refuse


class CloudFormation(ThreadingHTTPServer):
    """Takes the answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answers: list[dict[str, Any]] = []
        self.refusals = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def event(self, kind: str, properties: Mapping[str, Any], **members: Any) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": f"http://127.0.0.1:{self.server_port}/answer?signature=a%2Fb",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Model",
            "ResourceProperties": {"ServiceToken": "arn", **properties},
            **members,
        }


class _Answers(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_PUT(self) -> None:
        assert self.path == "/answer?signature=a%2Fb"
        assert "Content-Type" not in self.headers
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refusals:
            self.server.refusals -= 1
            self.send_error(500)
            return
        self.server.answers.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    monkeypatch.setattr(publish, "sleep", lambda _: None)
    server = CloudFormation()
    yield server
    server.shutdown()
    server.server_close()


class Context:
    def __init__(self, seconds: float = 60) -> None:
        self.ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends - time.monotonic()) * 1000)


def model(server: S3, seed: int, manifest: bytes | None = b"{}") -> tuple[Part, ...]:
    files = {"model.onnx": b"graph %d" % seed, "weights/model.data": b"%d" % seed * 5000}
    return server.put(files | ({"manifest.json": manifest} if manifest is not None else {}), prefix=f"{seed}/")


def properties(parts: tuple[Part, ...], mount: Path, keep: int = 2) -> dict[str, str]:
    return {
        "PackageDigest": digest_of(parts, manifest=True),
        "Parts": json.dumps(document(parts)["parts"], separators=(",", ":")),
        "MountPath": str(mount),
        "Keep": str(keep),
    }


def holds(server: S3, parts: tuple[Part, ...], path: Path) -> bool:
    found = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return found == {part.path: server.objects[part.key] for part in parts}


def published(mount: Path) -> list[str]:
    return sorted(path.name for path in mount.iterdir())


def name(parts: tuple[Part, ...]) -> str:
    return digest_of(parts, manifest=True).removeprefix("sha256:")


def test_the_life_of_a_resource(server: S3, cloudformation: CloudFormation, tmp_path: Path) -> None:
    mount = tmp_path / "mnt" / "models"
    first, second, third = (model(server, seed) for seed in (1, 2, 3))

    def ask(kind: str, parts: tuple[Part, ...], **members: Any) -> dict[str, Any]:
        publish.handler(cloudformation.event(kind, properties(parts, mount), **members), Context())
        return cloudformation.answers.pop()

    answer = ask("Create", first)
    assert answer == {
        "Status": "SUCCESS",
        "Reason": "",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Model",
        "PhysicalResourceId": f"model-{name(first)}",
        "Data": {"Path": f"{mount}/{name(first)}"},
    }
    assert holds(server, first, mount / name(first))
    assert ask("Update", second, PhysicalResourceId=answer["PhysicalResourceId"])["Status"] == "SUCCESS"
    # The clean-up after an update, and a rollback of it.
    assert ask("Delete", first, PhysicalResourceId=f"model-{name(first)}") == {
        **answer,
        "Data": {},
    }
    server.forget()
    assert ask("Update", first)["PhysicalResourceId"] == f"model-{name(first)}"
    assert server.asked == []
    assert published(mount) == sorted([name(first), name(second)])
    # The second was published before the first was again: it is the one that goes.
    ask("Update", third)
    assert published(mount) == sorted([name(first), name(third)])
    assert holds(server, first, mount / name(first))
    for _ in range(2):
        assert ask("Create", third)["Status"] == "SUCCESS"
    assert published(mount) == sorted([name(first), name(third)])


class Deployments:
    """What CloudFormation does with the resource: it names what is there, and cleans up what was replaced."""

    def __init__(self, cloudformation: CloudFormation, mount: Path) -> None:
        self._cloudformation, self._mount = cloudformation, mount
        self._current: tuple[tuple[Part, ...], str] | None = None

    def ask(self, kind: str, parts: tuple[Part, ...], **members: Any) -> dict[str, Any]:
        event = self._cloudformation.event(kind, properties(parts, self._mount), **members)
        publish.handler(event, Context())
        return self._cloudformation.answers.pop()

    def deploy(self, parts: tuple[Part, ...], *, fails_later: bool = False) -> str:
        """The status of the resource. If it or something after it fails, the stack is rolled back."""
        if self._current is None:
            answer = self.ask("Create", parts)
            assert answer["Status"] == "SUCCESS"
            self._current = (parts, answer["PhysicalResourceId"])
            return "SUCCESS"
        former, physical_id = self._current
        old, new = properties(former, self._mount), properties(parts, self._mount)
        answer = self.ask("Update", parts, PhysicalResourceId=physical_id, OldResourceProperties=old)
        replaced = physical_id if answer["Status"] == "SUCCESS" and not fails_later else answer["PhysicalResourceId"]
        if replaced == physical_id:
            self._current = (parts, answer["PhysicalResourceId"])
        else:
            back = self.ask("Update", former, PhysicalResourceId=replaced, OldResourceProperties=new)
            assert (back["Status"], back["PhysicalResourceId"]) == ("SUCCESS", physical_id)
        cleanup = former if replaced == physical_id else parts
        assert self.ask("Delete", cleanup, PhysicalResourceId=replaced)["Status"] == "SUCCESS"
        return str(answer["Status"])


@pytest.fixture
def deployments(server: S3, cloudformation: CloudFormation, tmp_path: Path) -> Deployments:
    return Deployments(cloudformation, tmp_path / "mnt")


def test_an_update_that_something_else_fails_leaves_what_is_served(
    server: S3, deployments: Deployments, tmp_path: Path
) -> None:
    first, second = model(server, 1), model(server, 2)
    deployments.deploy(first)
    for _ in range(3):
        assert deployments.deploy(second, fails_later=True) == "SUCCESS"
        assert holds(server, first, tmp_path / "mnt" / name(first))
    # What was rolled back to counts as the newer one: the next model does not push it out while it is being served.
    third = model(server, 3)
    assert deployments.deploy(third) == "SUCCESS"
    assert published(tmp_path / "mnt") == sorted([name(first), name(third)])


def test_an_update_to_a_damaged_object_leaves_what_is_served(
    server: S3, deployments: Deployments, tmp_path: Path
) -> None:
    first, second = model(server, 1), model(server, 2)
    deployments.deploy(first)
    server.objects["2/model.onnx"] = b"graph 9"
    assert deployments.deploy(second) == "FAILED"
    assert published(tmp_path / "mnt") == [name(first)]
    assert holds(server, first, tmp_path / "mnt" / name(first))
    server.objects["2/model.onnx"] = b"graph 2"
    assert deployments.deploy(second) == "SUCCESS"
    assert deployments.deploy(first) == "SUCCESS"
    assert holds(server, first, tmp_path / "mnt" / name(first))


def test_a_rollback_needs_no_object_of_the_model_that_is_there(server: S3, deployments: Deployments) -> None:
    """Its policy may have been changed to the new model's objects already."""
    first, second = model(server, 1), model(server, 2)
    deployments.deploy(first)
    server.fault = lambda handler, ask: ask.key.startswith("1/") and (refuse(handler, 403, "AccessDenied", "") or True)
    assert deployments.deploy(second, fails_later=True) == "SUCCESS"


def test_an_event_that_comes_twice_at_once(server: S3, cloudformation: CloudFormation, tmp_path: Path) -> None:
    """Lambda delivers CloudFormation's event at least once."""
    parts = model(server, 1)
    server.pause = 0.01
    twice = [
        threading.Thread(
            target=publish.handler, args=(cloudformation.event("Create", properties(parts, tmp_path)), Context())
        )
        for _ in range(2)
    ]
    for thread in twice:
        thread.start()
    for thread in twice:
        thread.join()
    assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"] * 2
    assert published(tmp_path) == [name(parts)]
    assert holds(server, parts, tmp_path / name(parts))


@pytest.mark.parametrize("left", [{}, {"PackageDigest": "", "Parts": "{"}])
def test_a_creation_that_failed_can_be_cleaned_up(
    cloudformation: CloudFormation, tmp_path: Path, left: dict[str, str]
) -> None:
    publish.handler(cloudformation.event("Create", left), Context())
    publish.handler(
        cloudformation.event("Delete", left, PhysicalResourceId=cloudformation.answers[0]["PhysicalResourceId"]),
        Context(),
    )
    assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED", "SUCCESS"]


def test_the_publisher_waits_for_its_new_policy(
    server: S3, cloudformation: CloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert publish.PATIENCE >= 60
    monkeypatch.setattr(s3, "LONGEST_DENIED_PAUSE", 0.05)
    parts = model(server, 1)
    spread = time.monotonic() + 0.5
    denied: list[str] = []

    def deny(handler: Any, ask: Any) -> bool:
        if time.monotonic() >= spread:
            return False
        denied.append(ask.key)
        refuse(handler, 403, "AccessDenied", "Access Denied")
        return True

    server.fault = deny
    publish.handler(cloudformation.event("Create", properties(parts, tmp_path)), Context())
    assert cloudformation.answers[0]["Status"] == "SUCCESS"
    assert len(denied) > 3
    assert holds(server, parts, tmp_path / name(parts))


def test_everybody_may_read_what_is_published(server: S3, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        path = Path(publish.publish(properties(model(server, 1), tmp_path / "mnt"))["Path"])
    finally:
        os.umask(umask)
    assert {oct(file.stat().st_mode & 0o777) for file in path.rglob("*") if file.is_file()} == {"0o644"}
    assert {oct(place.stat().st_mode & 0o777) for place in (path, path / "weights")} == {"0o755"}


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_stay_as_are_kept(server: S3, tmp_path: Path, keep: int) -> None:
    models = [model(server, seed) for seed in range(5)]
    for parts in models:
        publish.publish(properties(parts, tmp_path, keep))
    assert published(tmp_path) == sorted(name(parts) for parts in models[-keep:])


def test_publications_are_in_order_however_fast_they_follow(server: S3, tmp_path: Path) -> None:
    """The kernel's own timestamps have steps of milliseconds: two publications could have the same."""
    models = [model(server, seed) for seed in range(2)]
    times = []
    for _ in range(20):
        for parts in models:
            times.append(Path(publish.publish(properties(parts, tmp_path))["Path"]).stat().st_mtime_ns)
    assert times == sorted(set(times))


def test_other_files_on_the_mount_are_left_alone(server: S3, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "notes.txt").write_text("")
    for seed in range(4):
        publish.publish(properties(model(server, seed), tmp_path, 1))
    assert (tmp_path / "data").exists()
    assert (tmp_path / "notes.txt").exists()


def test_a_damaged_model_is_mended_under_those_who_serve_it(server: S3, tmp_path: Path) -> None:
    parts = model(server, 1)
    path = Path(publish.publish(properties(parts, tmp_path))["Path"])
    with (path / "weights/model.data").open("rb") as in_use:
        (path / "model.onnx").unlink()
        os.truncate(path / "weights/model.data", 3)
        server.forget()
        publish.publish(properties(parts, tmp_path))
        assert in_use.read() == b"111"
    assert {ask.key for ask in server.asked} == {"1/model.onnx", "1/weights/model.data"}
    assert holds(server, parts, path)


def test_another_manifest_of_the_same_weights_is_another_model(server: S3, tmp_path: Path) -> None:
    """Older versions of the function keep the session options that they were published with."""
    packages = []
    for number, manifest in enumerate((b"{}", b'{"session": {}}', None)):
        files = {"model.onnx": b"graph", "weights/model.data": b"1" * 5000}
        if manifest is not None:
            files["manifest.json"] = manifest
        packages.append(server.put(files, prefix=f"{number}/"))
    paths = [Path(publish.publish(properties(parts, tmp_path, 3))["Path"]) for parts in packages]
    assert len(set(paths)) == 3
    assert all(holds(server, parts, path) for parts, path in zip(packages, paths, strict=True))
    assert paths[2].name == digest_of(packages[0], manifest=False).removeprefix("sha256:")


def test_a_failure_is_answered_and_leaves_nothing(
    server: S3, cloudformation: CloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "PATIENCE", 0.2)
    parts = model(server, 1)
    server.fault = lambda handler, ask: refuse(handler, 403, "AccessDenied", "Access Denied") or True
    publish.handler(cloudformation.event("Create", properties(parts, tmp_path)), Context())
    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert "s3://models/1/" in answer["Reason"]
    assert "s3:GetObject" in answer["Reason"]
    assert answer["PhysicalResourceId"] == f"model-{name(parts)}"
    assert published(tmp_path) == []
    server.fault = None
    server.objects["1/model.onnx"] = b"graph 9"
    publish.handler(cloudformation.event("Create", properties(parts, tmp_path)), Context())
    assert "is not what was deployed" in cloudformation.answers[1]["Reason"]
    assert published(tmp_path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"PackageDigest": "sha256:0"},
        {"PackageDigest": ""},
        {"Parts": "{"},
        {"Parts": "[]"},
        {"Keep": "0"},
        {"Keep": "many"},
        {"MountPath": "relative"},
    ],
)
def test_wrong_properties_are_answered(
    server: S3, cloudformation: CloudFormation, tmp_path: Path, wrong: dict[str, str]
) -> None:
    event = cloudformation.event("Create", {**properties(model(server, 1), tmp_path), **wrong})
    publish.handler(event, Context())
    assert cloudformation.answers[0]["Status"] == "FAILED"
    assert cloudformation.answers[0]["Reason"]
    with pytest.raises(ModelUnusable):
        publish.publish({})


def test_an_event_without_properties_is_answered(cloudformation: CloudFormation) -> None:
    event = cloudformation.event("Create", {})
    del event["ResourceProperties"]
    publish.handler(event, Context())
    assert cloudformation.answers[0]["Status"] == "FAILED"
    assert len(json.dumps(cloudformation.answers[0])) < 4096


def test_time_that_runs_out_is_answered_in_time(
    server: S3, cloudformation: CloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    server.fault = lambda handler, ask: not stuck.wait(3)
    parts = model(server, 1)
    started = time.monotonic()
    publish.handler(cloudformation.event("Create", properties(parts, tmp_path)), Context(publish.ANSWER_TIME + 1))
    assert time.monotonic() - started < 3
    assert cloudformation.answers[0]["Status"] == "FAILED"
    assert "after 1 s" in cloudformation.answers[0]["Reason"]
    stuck.set()
    deadline = time.monotonic() + 5
    while published(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert published(tmp_path) == []  # it gave up: nothing is published after FAILED was said


def test_the_answer_is_sent_again(server: S3, cloudformation: CloudFormation, tmp_path: Path) -> None:
    cloudformation.refusals = 2
    publish.handler(cloudformation.event("Create", properties(model(server, 1), tmp_path)), Context())
    assert len(cloudformation.answers) == 1


def test_leftovers_of_killed_attempts_are_swept(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f".{'a' * 64}.12.partial").mkdir()
    publish.publish(properties(model(server, 1), tmp_path))
    assert len(published(tmp_path)) == 2  # it may be somebody's who is at it
    monkeypatch.setattr(publish, "STALE", -1.0)
    publish.publish(properties(model(server, 1), tmp_path))
    assert len(published(tmp_path)) == 1
