"""The cache of models from S3, below /tmp: each is downloaded once, verified, and never used before it is complete.

    <cache>/<key>/               a model's parts, and `.verified`: the files' metadata when their content was hashed
    <cache>/.<key>.partial/      a download in progress, or an interrupted one that can be resumed
    <cache>/.<key>.lock          held by the process that downloads or verifies the model; others wait for it
    <cache>/.trash.*             being deleted
    <cache>/.lock                held while space is made

A model gets its name by one rename, after its content was verified. So no incomplete model has that name, at whatever
point a process ends. Every process that uses a model holds a shared lock on its `.verified`, and eviction leaves such a
model alone. All locks are the kernel's (flock), and end with their process.
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
from onnx_handler.model_objects import Part, digest_of, size_of

VERIFIED = ".verified"
_RESERVED = ".reserved"
_KEY = re.compile(r"[0-9a-f]{64}")
_PARTIAL = re.compile(r"\.([0-9a-f]{64})\.partial")
_MODE = 0o700


def patience(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds in which a cold start repeats requests that S3 answers with AccessDenied: a new policy takes time.

    On demand, Lambda's init phase has 10 s, and the imports need some of them. Otherwise it has at least two minutes.
    """
    return 5.0 if environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand") == "on-demand" else 60.0


def default_directory() -> str:
    """Below /tmp, which in Lambda outlives the process. On other machines, every user has a directory."""
    return f"{os.environ.get('TMPDIR') or '/tmp'}/onnx-models-{os.getuid()}"


class ModelCache:
    """The models in one cache directory.

    Args:
        directory: of the cache.
        budget: bytes that all models together may take; None for as many as the disk has.
        patience: seconds from now in which requests that S3 answers with AccessDenied are repeated. Afterwards
            AccessDenied is raised at once.
    """

    def __init__(self, directory: str, budget: int | None = None, patience: float = 0.0) -> None:
        self._directory = directory
        self._budget = budget
        self._patient_until = monotonic() + patience
        self._in_use: dict[str, int] = {}
        self._lock = Lock()

    def obtain(self, parts: tuple[Part, ...]) -> str:
        """The directory of a model, from the cache or from S3. From here on this process uses the model.

        Raises:
            ModelUnusable: the model is not available; the text says why.
            DiskFull: there is no space for it, or not within the budget.
            SourceUnavailable: S3 does not answer.
            AccessDenied: a permission is missing.
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
        """Ends the use of a model by this process. The model stays in the cache until its space is needed."""
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
        now = time_ns()  # finer than the kernel's own timestamps, which have steps of milliseconds
        os.utime(file, ns=(now, now))  # the time of the last use, for eviction
        with self._lock:
            first = self._in_use.setdefault(key, file)
        if first != file:
            os.close(file)

    # -- download ---------------------------------------------------------------------------------------------------

    def _download(self, key: str, parts: tuple[Part, ...]) -> None:
        from .download import JOURNAL, download  # late: not needed for a model that is in the cache

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
                _discard(partial)  # its space is more useful to others
                raise
            except WrongContent:
                _discard(partial)
                if not resumed:
                    raise
                resumed = False  # the interrupted download may have been damaged on the disk: try once more
                _reserve(partial, size_of(parts))
                continue
            break
        for name in (JOURNAL, _RESERVED):
            os.unlink(f"{partial}/{name}")  # noqa: PTH108
        _mark(partial, parts)
        os.rename(partial, f"{self._directory}/{key}")  # noqa: PTH104

    # -- space ------------------------------------------------------------------------------------------------------

    def _make_room(self, key: str, parts: tuple[Part, ...]) -> None:
        """Evicts models, least recently used first, until this one fits into the budget, and reserves its space."""
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
        """Bytes of all other models, and of those that are being downloaded."""
        used = 0
        for name in os.listdir(self._directory):  # noqa: PTH208
            if _KEY.fullmatch(name) and name != own:
                used += _size(f"{self._directory}/{name}")
            elif (partial := _PARTIAL.fullmatch(name)) and partial[1] != own:
                used += _reserved(f"{self._directory}/{name}")
        return used

    def _sweep(self, own: str) -> None:
        """Removes what crashed processes left behind; not the downloads of running ones."""
        for name in os.listdir(self._directory):  # noqa: PTH208
            if name.startswith(".trash."):
                _remove(f"{self._directory}/{name}")
            elif (partial := _PARTIAL.fullmatch(name)) and partial[1] != own:
                with _locked_if_free(f"{self._directory}/.{partial[1]}.lock") as free:
                    if free:
                        _discard(f"{self._directory}/{name}")

    def _evict_one(self, own: str) -> bool:
        """Removes the least recently used model that no process uses; False if there is none."""
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
    """The digest with the manifest: packages with the same weights and different manifests are different models."""
    return digest_of(parts, manifest=True).removeprefix("sha256:")


# -- verification ---------------------------------------------------------------------------------------------------


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _metadata(directory: str, parts: tuple[Part, ...]) -> str:
    """The files' metadata. The kernel updates the ctime at every write, and nobody can set it."""
    found = {"boot": _boot_id()}
    for part in parts:
        stat = os.stat(f"{directory}/{part.path}", follow_symlinks=False)  # noqa: PTH116
        found[part.path] = f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    return json.dumps(found)


def _mark(directory: str, parts: tuple[Part, ...]) -> None:
    """Writes the metadata of verified files. In place, because locks are held on this very file."""
    file = os.open(f"{directory}/{VERIFIED}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(file, _metadata(directory, parts).encode())
    os.close(file)


def _is_intact(entry: str, parts: tuple[Part, ...]) -> bool:
    """Whether a model in the cache is unchanged: by its files' metadata, and if that has changed, by their content.

    Hashing 400 MB takes one vCPU half a second, too long for a start that the cache is to make fast.
    """
    try:
        with open(f"{entry}/{VERIFIED}", encoding="utf-8") as file:  # noqa: PTH123
            if file.read() == _metadata(entry, parts):
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
    """Removes a directory. It is renamed first, so that nobody finds it half removed."""
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
    """Creates the directory of a download, and writes there how large the model will be."""
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
