"""Models from S3 in a cache below /tmp: downloaded once, verified, and never served before they are whole.

    <cache>/<key>/               a model's parts, and `.verified`: how the files looked when their content was hashed
    <cache>/.<key>.partial/      a download under way, or what an interrupted one left, to be resumed
    <cache>/.<key>.lock          held by who downloads or verifies; the others wait, and find it done
    <cache>/.trash.*             on its way out
    <cache>/.lock                held while space is made

A model has its name from one rename, after its content was verified: whatever ends a process, at whatever point, leaves
nothing under that name which could be served. `.verified` is locked by every process that uses the model, which is how
eviction knows. All locks are the kernel's (flock), and end with their process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from threading import Lock
from time import monotonic, time_ns

from onnx_handler.errors import DiskFull, ModelUnusable, WrongContent

from .parts import JOURNAL, Part, digest_of, size_of

VERIFIED = ".verified"
_RESERVED = ".reserved"
_KEY = re.compile(r"[0-9a-f]{64}")
_PARTIAL = re.compile(r"\.([0-9a-f]{64})\.partial")
_MODE = 0o700


def patience(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds in which a start puts up with S3's AccessDenied, because a new policy takes time to spread.

    On demand, a start has 10 s, of which the imports and what follows need some; others have two minutes at least.
    """
    return 5.0 if environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") == "on-demand" else 60.0


def default_directory() -> str:
    """Where models are kept: Lambda's /tmp outlives the process, and on other machines every user has a directory."""
    return f"{os.environ.get('TMPDIR') or '/tmp'}/onnx-models-{os.getuid()}"


class Store:
    """The models that one cache directory holds.

    Args:
        directory: of the cache.
        budget: bytes that it may take; None for as many as the disk has.
        patience: seconds from now in which S3's AccessDenied is asked again. Requests that come later are told at once.
    """

    def __init__(self, directory: str, budget: int | None = None, patience: float = 0.0) -> None:
        self._directory = directory
        self._budget = budget
        self._patient_until = monotonic() + patience
        self._in_use: dict[str, int] = {}
        self._lock = Lock()

    def obtain(self, parts: tuple[Part, ...]) -> str:
        """The directory of a model, from the cache or from S3. The model is in use, by this process, from here on.

        Raises:
            ModelUnusable: it cannot be had; the text says why.
            DiskFull: there is no space for it, or not within the budget.
            SourceUnavailable: S3 does not answer.
            AccessDenied: S3 refuses, for want of a permission.
        """
        key = _key(parts)
        entry = f"{self._directory}/{key}"
        with self._lock:
            if key in self._in_use:
                return entry
        try:
            self._make_directory()
            with _locked(f"{self._directory}/.{key}.lock"):
                if not _is_intact(entry, parts):
                    _discard(entry)
                    self._download(key, parts)
                self._use(key)
        except OSError as error:
            raise ModelUnusable(f"the model cannot be kept in {self._directory!r}: {error}") from error
        return entry

    def release(self, parts: tuple[Part, ...]) -> None:
        """Says that this process uses a model no longer: it stays, until its space is needed."""
        with self._lock:
            file = self._in_use.pop(_key(parts), None)
        if file is not None:
            os.close(file)

    def _make_directory(self) -> None:
        os.makedirs(self._directory, _MODE, exist_ok=True)  # noqa: PTH103
        if os.stat(self._directory, follow_symlinks=False).st_uid != os.getuid():  # noqa: PTH116
            raise ModelUnusable(f"the models' directory {self._directory!r} belongs to somebody else")

    def _use(self, key: str) -> None:
        file = os.open(f"{self._directory}/{key}/{VERIFIED}", os.O_RDWR | os.O_CLOEXEC)
        flock(file, LOCK_SH)
        now = time_ns()  # not the kernel's, which moves in steps of milliseconds
        os.utime(file, ns=(now, now))  # when it was last used, for eviction
        with self._lock:
            first = self._in_use.setdefault(key, file)
        if first != file:
            os.close(file)

    # -- downloading ------------------------------------------------------------------------------------------------

    def _download(self, key: str, parts: tuple[Part, ...]) -> None:
        from .download import download  # late: a model that another process has downloaded needs no client

        partial = f"{self._directory}/.{key}.partial"
        resumed = os.path.isdir(partial)  # noqa: PTH112
        self._make_room(key, parts)
        while True:
            try:
                left = max(0.0, self._patient_until - monotonic())
                download(parts, partial, resume=True, allocate=True, patience=left)
            except DiskFull:
                with _locked(f"{self._directory}/.lock"):
                    if self._evict_one(key):
                        continue
                _discard(partial)  # it would only keep others from the space
                raise
            except WrongContent:
                _discard(partial)
                if not resumed:
                    raise
                resumed = False  # it may have been damaged, and not by S3
                _reserve(partial, size_of(parts))
                continue
            break
        for name in (JOURNAL, _RESERVED):
            os.unlink(f"{partial}/{name}")  # noqa: PTH108
        _mark(partial, parts)
        os.rename(partial, f"{self._directory}/{key}")  # noqa: PTH104

    # -- space ------------------------------------------------------------------------------------------------------

    def _make_room(self, key: str, parts: tuple[Part, ...]) -> None:
        """Evicts what was used longest ago until the model fits into the budget, and reserves its space there."""
        needed = size_of(parts)
        with _locked(f"{self._directory}/.lock"):
            self._sweep(key)
            if self._budget is not None:
                if needed > self._budget:
                    raise DiskFull(
                        f"the model is {needed / 1e6:.0f} MB, and MODEL_CACHE_SIZE allows {self._budget / 1e6:.0f}: "
                        "give the function more ephemeral storage"
                    )
                while self._used(key) + needed > self._budget:
                    if not self._evict_one(key):
                        raise DiskFull(
                            f"the model is {needed / 1e6:.0f} MB, which do not fit beside the models in use within the "
                            f"{self._budget / 1e6:.0f} MB of MODEL_CACHE_SIZE: give the function more ephemeral storage"
                        )
            _reserve(f"{self._directory}/.{key}.partial", needed)

    def _used(self, own: str) -> int:
        """Bytes of every other model, and of those that are being downloaded."""
        used = 0
        for name in os.listdir(self._directory):  # noqa: PTH208
            if _KEY.fullmatch(name) and name != own:
                used += _size(f"{self._directory}/{name}")
            elif (partial := _PARTIAL.fullmatch(name)) and partial[1] != own:
                used += _reserved(f"{self._directory}/{name}")
        return used

    def _sweep(self, own: str) -> None:
        """Removes what crashes left behind, unless somebody is at it."""
        for name in os.listdir(self._directory):  # noqa: PTH208
            if name.startswith(".trash."):
                _remove(f"{self._directory}/{name}")
            elif (partial := _PARTIAL.fullmatch(name)) and partial[1] != own:
                with _locked_if_free(f"{self._directory}/.{partial[1]}.lock") as free:
                    if free:
                        _discard(f"{self._directory}/{name}")

    def _evict_one(self, own: str) -> bool:
        """Removes the model that was used longest ago, of those that nobody uses."""
        for _, key in sorted(self._idle(own)):
            with _locked_if_free(f"{self._directory}/.{key}.lock") as free:
                if free and not _is_in_use(f"{self._directory}/{key}/{VERIFIED}"):
                    _discard(f"{self._directory}/{key}")
                    return True
        return False

    def _idle(self, own: str) -> Iterator[tuple[int, str]]:
        for name in os.listdir(self._directory):  # noqa: PTH208
            if _KEY.fullmatch(name) and name != own:
                try:
                    yield os.stat(f"{self._directory}/{name}/{VERIFIED}").st_mtime_ns, name  # noqa: PTH116
                except OSError:
                    yield 0, name


def _key(parts: tuple[Part, ...]) -> str:
    """The manifest counts here: two packages with the same weights are two models."""
    return digest_of(parts, manifest=True).removeprefix("sha256:")


# -- verification ---------------------------------------------------------------------------------------------------


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _appearance(directory: str, parts: tuple[Part, ...]) -> str:
    """How the files look without being read. The kernel sets the time of change at every write; nobody else can."""
    looks = {"boot": _boot_id()}
    for part in parts:
        look = os.stat(f"{directory}/{part.path}", follow_symlinks=False)  # noqa: PTH116
        looks[part.path] = f"{look.st_ino} {look.st_size} {look.st_mtime_ns} {look.st_ctime_ns}"
    return json.dumps(looks)


def _mark(directory: str, parts: tuple[Part, ...]) -> None:
    """Notes how the files look, now that their content is verified. In place: the file is what locks are held on."""
    file = os.open(f"{directory}/{VERIFIED}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(file, _appearance(directory, parts).encode())
    os.close(file)


def _is_intact(entry: str, parts: tuple[Part, ...]) -> bool:
    """Whether a model in the cache is what it was: by its files' looks, and if those have changed, by its content.

    Hashing 400 MB takes half a second of one vCPU, at a start that the cache was to make fast.
    """
    try:
        with open(f"{entry}/{VERIFIED}", encoding="utf-8") as file:  # noqa: PTH123
            if file.read() == _appearance(entry, parts):
                return True
    except (OSError, ValueError):
        pass
    if not os.path.isdir(entry):  # noqa: PTH112
        return False
    from .download import mismatches

    if mismatches(parts, entry):
        return False
    _mark(entry, parts)
    return True


# -- files ----------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(path: str) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        flock(file, LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def _locked_if_free(path: str) -> Iterator[bool]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def _is_in_use(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _discard(directory: str) -> None:
    """Takes its name from it first: what is half removed must not be found under it."""
    trash = f"{os.path.dirname(directory)}/.trash.{os.getpid()}.{os.urandom(4).hex()}"  # noqa: PTH120
    try:
        os.rename(directory, trash)  # noqa: PTH104
    except FileNotFoundError:
        return
    _remove(trash)


def _remove(directory: str) -> None:
    for place, directories, names in os.walk(directory, topdown=False):
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(f"{place}/{name}")  # noqa: PTH108
        for name in directories:
            with suppress(FileNotFoundError):
                os.rmdir(f"{place}/{name}")  # noqa: PTH106
    with suppress(FileNotFoundError):
        os.rmdir(directory)  # noqa: PTH106


def _size(directory: str) -> int:
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            if name != VERIFIED:
                with suppress(OSError):
                    total += os.stat(f"{place}/{name}").st_size  # noqa: PTH116
    return total


def _reserve(directory: str, size: int) -> None:
    """Makes the directory of a download, and notes how large it will be."""
    os.makedirs(directory, _MODE, exist_ok=True)  # noqa: PTH103
    file = os.open(f"{directory}/{_RESERVED}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(file, str(size).encode())
    os.close(file)


def _reserved(directory: str) -> int:
    try:
        with open(f"{directory}/{_RESERVED}", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read())
    except (OSError, ValueError):
        return 0
