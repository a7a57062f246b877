"""The command that puts a model on a mounted file system at deployment: `onnx_handler.publish.handler`.

A CloudFormation custom resource, with the properties

    PackageDigest   sha256:<hex> of all parts, the manifest among them
    Parts           JSON: the S3 objects, as in MODEL_OBJECTS
    MountPath       a directory on the mount, of this resource alone
    Keep            how many models stay in it, including the one that is published

A model is complete at `<MountPath>/<hex>/`, or not there. Publishing a model that is there already verifies it and
replaces damaged files one by one, while functions go on serving it. Deleting the resource leaves the files, because
CloudFormation deletes the resource of a model that another one replaces, while older versions of a function may still
use it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Event, Thread
from time import sleep, time, time_ns
from typing import Any
from urllib.parse import urlsplit

from .errors import ModelUnusable
from .model_objects import Part, check_digest, read
from .storage.download import download, mismatches

_log = logging.getLogger("onnx_handler")

ANSWER_TIME = 20.0  # seconds of the function's timeout that are kept for the answer
ATTEMPTS = 3  # to send the answer
PATIENCE = 60.0  # seconds until this function's policy, which the same deployment may have created, takes effect
STALE = 3600.0  # seconds; no attempt takes longer than Lambda's 15 minutes
LONGEST_REASON = 1500  # characters; CloudFormation takes an answer of 4 KB


class _GivenUp(Exception):
    pass


def handler(event: dict[str, Any], context: Any) -> None:
    """Handles one event. It always answers, because CloudFormation would wait for an hour otherwise."""
    properties = event.get("ResourceProperties") or {}
    digest = str(properties.get("PackageDigest", "")).removeprefix("sha256:")
    # The answer to a Delete must have the id that the resource has.
    physical_id = f"model-{digest}" if event.get("RequestType") != "Delete" else event.get("PhysicalResourceId")
    outcome: dict[str, Any] = {"Status": "FAILED", "Reason": "it did not end"}
    given_up = Event()

    def work() -> None:
        try:
            data = {} if event.get("RequestType") == "Delete" else publish(properties, lambda: _check(given_up))
            outcome.update(Status="SUCCESS", Reason="", Data=data)
        except _GivenUp:
            pass
        except Exception as error:
            _log.exception("the model was not published")
            outcome["Reason"] = str(error) if isinstance(error, ModelUnusable) else f"{type(error).__name__}: {error}"

    seconds = max(1.0, context.get_remaining_time_in_millis() / 1000 - ANSWER_TIME)
    worker = Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():  # it must not finish now, because the answer is that it failed
        given_up.set()
        outcome = {"Status": "FAILED", "Reason": f"the model was not on the mount after {seconds:.0f} s"}
    _answer(event, {**outcome, "PhysicalResourceId": physical_id or "model-none"})


def _check(given_up: Event) -> None:
    if given_up.is_set():
        raise _GivenUp


def publish(properties: dict[str, Any], check: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Puts the model where functions look for it, and removes the oldest of the other models.

    Args:
        properties: of the resource.
        check: called often; raises to give up.

    Raises:
        ModelUnusable: the model cannot be published; the text says why.
    """
    try:
        digest, mount = str(properties["PackageDigest"]), str(properties["MountPath"])
        keep, text = int(properties.get("Keep", 2)), properties["Parts"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnusable(f"the resource's properties are wrong: {error!r}") from None
    if not digest.startswith("sha256:") or keep < 1 or not mount.startswith("/"):
        wrong = f"PackageDigest {digest!r}, MountPath {mount!r}, Keep {keep}"
        raise ModelUnusable(f"the resource's properties are wrong: {wrong}")
    parts = read("Parts", text)
    check_digest("Parts", parts, digest, manifest=True)
    name = digest.removeprefix("sha256:")
    path = f"{mount}/{name}"
    try:
        os.makedirs(mount, 0o755, exist_ok=True)  # noqa: PTH103 - pathlib is not worth its import here
        _sweep(mount)
        if os.path.isdir(path) or not _publish_new(parts, mount, name, check):  # noqa: PTH112
            _repair(parts, mount, name, check)
        now = time_ns()  # finer than the kernel's own timestamps, which have steps of milliseconds
        os.utime(path, ns=(now, now))  # the time of publication, for `_prune`
        _prune(mount, name, keep)
    except OSError as error:
        raise ModelUnusable(f"the model cannot be written to {mount!r}: {error}") from error
    return {"Path": path}


def _publish_new(parts: tuple[Part, ...], mount: str, name: str, check: Callable[[], None]) -> bool:
    """Downloads the model and gives it its name; False if another invocation did so meanwhile."""
    partial = _partial(mount, name)
    try:
        download(parts, partial, patience=PATIENCE, check=check)
        _persist(partial)
        check()
        try:
            os.rename(partial, f"{mount}/{name}")  # noqa: PTH104
        except OSError:
            if os.path.isdir(f"{mount}/{name}"):  # noqa: PTH112
                return False
            raise
        _sync(mount)
        return True
    finally:
        _remove(partial)


def _repair(parts: tuple[Part, ...], mount: str, name: str, check: Callable[[], None]) -> None:
    """Replaces damaged files, each in one step. A function that has the old file open can go on reading it."""
    path = f"{mount}/{name}"
    if wrong := tuple(mismatches(parts, path, check)):
        partial = _partial(mount, name)
        try:
            download(wrong, partial, patience=PATIENCE, check=check)
            _persist(partial)
            for part in wrong:
                os.makedirs(os.path.dirname(f"{path}/{part.path}"), 0o755, exist_ok=True)  # noqa: PTH103, PTH120
                os.replace(f"{partial}/{part.path}", f"{path}/{part.path}")  # noqa: PTH105
        finally:
            _remove(partial)
    _persist(path)


def _partial(mount: str, name: str) -> str:
    path = f"{mount}/.{name}.{os.urandom(8).hex()}.partial"
    os.mkdir(path, 0o755)  # noqa: PTH102
    return path


def _persist(directory: str) -> None:
    """Makes all files readable for other users, which the functions are, and flushes them to the disk."""
    for place, _, names in os.walk(directory, topdown=False):
        for name in names:
            file = os.open(f"{place}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            os.fchmod(file, 0o644)
            os.fsync(file)
            os.close(file)
        os.chmod(place, 0o755)  # noqa: PTH101
        _sync(place)


def _sync(directory: str) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    except OSError:  # a network file system may not support it
        pass
    finally:
        os.close(opened)


def _prune(mount: str, current: str, keep: int) -> None:
    """Removes all models except the `keep` most recently published ones, which include the current one."""
    others = [entry for entry in os.scandir(mount) if _is_model(entry.name) and entry.name != current]
    others.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in others[keep - 1 :]:
        trash = f"{mount}/.{entry.name}.{os.urandom(8).hex()}.partial"
        try:
            os.rename(entry.path, trash)  # noqa: PTH104
        except FileNotFoundError:
            continue
        _remove(trash)
        _log.info("model %s was removed from %s", entry.name, mount)


def _is_model(name: str) -> bool:
    return len(name) == 64 and not set(name) - set("0123456789abcdef")


def _sweep(mount: str) -> None:
    """Removes what killed invocations left behind."""
    for entry in os.scandir(mount):
        if entry.name.startswith(".") and entry.name.endswith(".partial"):
            with suppress(FileNotFoundError):
                if time() - entry.stat().st_ctime > STALE:
                    _remove(entry.path)


def _remove(directory: str) -> None:
    from shutil import rmtree

    rmtree(directory, ignore_errors=True)


def _answer(event: dict[str, Any], outcome: dict[str, Any]) -> None:
    """Sends the answer to CloudFormation."""
    body = json.dumps(
        {
            **{name: event.get(name, "") for name in ("StackId", "RequestId", "LogicalResourceId")},
            **outcome,
            "Reason": outcome["Reason"][:LONGEST_REASON],
        }
    ).encode()
    url = urlsplit(str(event["ResponseURL"]))
    kind = HTTPConnection if url.scheme == "http" else HTTPSConnection
    for attempt in range(1, ATTEMPTS + 1):
        connection = kind(url.netloc, timeout=ANSWER_TIME / ATTEMPTS - 1)
        try:
            # No content type: the URL was signed without one.
            connection.request("PUT", f"{url.path}?{url.query}", body, {"Content-Length": str(len(body))})
            status = connection.getresponse().status
            if status < 300:
                _log.info("answered %s", outcome["Status"])
                return
            _log.error("CloudFormation's address answered HTTP %s", status)
        except (OSError, HTTPException) as error:
            _log.error("CloudFormation's address cannot be reached: %r", error)
        finally:
            connection.close()
        if attempt < ATTEMPTS:
            sleep(1)
