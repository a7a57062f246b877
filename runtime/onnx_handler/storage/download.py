"""Downloads a model's parts from S3 into a directory: in parallel ranges, resumable, verified.

The caller gives the directory its final name after `download` has returned, so that nobody uses it before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from threading import Condition, Thread
from typing import NamedTuple

from onnx_handler.errors import DiskFull, ModelUnusable, WrongContent
from onnx_handler.model_objects import Part, size_of

from .s3 import Reader, Source

# AWS "Performance guidelines for Amazon S3": ranges of 8-16 MB, and a connection for each 85-90 MB/s.
RANGE = 8 * 1024**2
CONNECTIONS = 8
CHUNK = 1024**2
JOURNAL = ".journal"  # beside the parts, whose names have no leading dot
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Range(NamedTuple):
    part: int
    first: int
    end: int


class _Stopped(Exception):
    pass


def download(
    parts: tuple[Part, ...],
    directory: str,
    *,
    resume: bool = False,
    allocate: bool = False,
    patience: float = 0.0,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Downloads all parts.

    Args:
        parts: what to download.
        directory: to download into; it exists. With `resume`, it may hold an interrupted download of the same parts.
        resume: keep a journal of the ranges that were downloaded, and continue an interrupted download.
        allocate: reserve the whole space first, so that a full disk is noticed before anything is downloaded. Only for
            local disks: a network file system would have to write it.
        patience: seconds in which requests that S3 answers with AccessDenied are repeated, because a new policy takes
            time to take effect.
        check: called often; raises to give up.

    Raises:
        ModelUnusable: S3 refuses, or an object has another size.
        AccessDenied: a permission is missing, and was for as long as `patience`.
        WrongContent: the content is not what was deployed; what was downloaded is useless.
        SourceUnavailable: S3 does not answer; the download can be resumed.
        DiskFull: there is no space.
    """
    try:
        _Download(parts, directory, resume, allocate, patience, check).run()
    except OSError as error:
        raise _told(error, directory, parts) from error


class _Download:
    """One attempt. Threads download the ranges in order; the caller's thread hashes them, in order too."""

    def __init__(
        self,
        parts: tuple[Part, ...],
        directory: str,
        resume: bool,
        allocate: bool,
        patience: float,
        check: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._patience = patience
        self._directory = directory
        self._check = check
        self._ranges = [
            _Range(index, first, min(first + RANGE, part.size))
            for index, part in enumerate(parts)
            for first in range(0, part.size, RANGE)
        ]
        self._there = _journaled(directory) if resume else set()
        missing = [index for index in range(len(self._ranges)) if index not in self._there]
        self._connections = min(CONNECTIONS, len(missing))
        self._missing = iter(missing)
        self._changed = Condition()
        self._failure: BaseException | None = None
        self._stopped = False
        self._allocate = allocate
        self._journal = _open_journal(directory, fresh=not self._there) if resume else None
        self._files: list[int] = []

    def run(self) -> None:
        threads: list[Thread] = []
        try:
            self._open_files()
            if self._connections:
                source = Source(patience=self._patience)
                threads = [Thread(target=self._fetch, args=(source,), daemon=True) for _ in range(self._connections)]
            for thread in threads:
                thread.start()
            self._hash()
        finally:
            self._stopped = True
            for thread in threads:
                thread.join()
            for file in self._files:
                os.close(file)
            if self._journal is not None:
                os.close(self._journal)

    def _open_files(self) -> None:
        for part in self._parts:
            path = f"{self._directory}/{part.path}"
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - pathlib is not worth its import
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._files.append(file)
            if self._allocate and part.size:
                os.posix_fallocate(file, 0, part.size)
            os.ftruncate(file, part.size)

    def _fetch(self, source: Source) -> None:
        reader = Reader(source, self._check_stopped)
        buffer = memoryview(bytearray(min(CHUNK, max(part.size for part in self._parts))))
        try:
            while (index := self._next()) is not None:
                piece = self._ranges[index]
                part, file = self._parts[piece.part], self._files[piece.part]
                span = (piece.first, piece.end)
                reader.read(part.bucket, part.key, part.size, span, buffer, self._writer(file))
                with self._changed:
                    if self._journal is not None:  # after the bytes: a line says that they are written
                        os.write(self._journal, f"{index}\n".encode())
                    self._there.add(index)
                    self._changed.notify()
        except _Stopped:
            pass
        except BaseException as error:
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify()
        finally:
            reader.close()

    def _writer(self, file: int) -> Callable[[memoryview, int], None]:
        def write(content: memoryview, at: int) -> None:
            try:
                while content:
                    written = os.pwrite(file, content, at)
                    content, at = content[written:], at + written
            except OSError as error:
                raise _told(error, self._directory, self._parts) from error

        return write

    def _next(self) -> int | None:
        with self._changed:
            return None if self._failure else next(self._missing, None)

    def _check_stopped(self) -> None:
        if self._stopped or self._failure is not None:
            raise _Stopped

    def _hash(self) -> None:
        buffer = memoryview(bytearray(CHUNK))
        hashes = [sha256() for _ in self._parts]
        for index, piece in enumerate(self._ranges):
            self._wait_for(index)
            at = piece.first
            while at < piece.end:
                self._check()
                count = os.preadv(self._files[piece.part], [buffer[: piece.end - at]], at)
                if not count:
                    raise OSError(errno.EIO, f"{self._parts[piece.part].path} was cut off while it was written")
                hashes[piece.part].update(buffer[:count])
                at += count
        for part, found in zip(self._parts, hashes, strict=True):
            if found.hexdigest() != part.sha256:
                raise WrongContent(
                    f"{part.uri} is not what was deployed: its sha256 is {found.hexdigest()}; it is to be {part.sha256}"
                )

    def _wait_for(self, index: int) -> None:
        with self._changed:
            while index not in self._there:
                if self._failure is not None:
                    raise self._failure
                self._changed.wait(1)
                self._check()


def _journaled(directory: str) -> set[int]:
    """The ranges that an interrupted download has finished; none if its ranges had another size."""
    try:
        with open(f"{directory}/{JOURNAL}", encoding="ascii") as journal:  # noqa: PTH123
            head, *lines = journal.read().split("\n")[:-1]  # without an unfinished last line
            return set(map(int, lines)) if head == str(RANGE) else set()
    except (OSError, ValueError):
        return set()


def _open_journal(directory: str, *, fresh: bool) -> int:
    file = os.open(f"{directory}/{JOURNAL}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if fresh:
        os.ftruncate(file, 0)
        os.write(file, f"{RANGE}\n".encode())
    return file


def _told(error: OSError, directory: str, parts: tuple[Part, ...]) -> ModelUnusable:
    size = size_of(parts) / 1e6
    if error.errno in _FULL:
        return DiskFull(
            f"no space for the model's {size:.0f} MB in {directory!r} ({error.strerror}): give the function more "
            "ephemeral storage, or a place of another kind for its model"
        )
    return ModelUnusable(f"the model cannot be written to {directory!r}: {error}")


def mismatches(parts: tuple[Part, ...], directory: str, check: Callable[[], None] = lambda: None) -> list[Part]:
    """Reads every part, and returns those that are missing or have other content than was deployed."""
    return [part for part in parts if not _matches(part, f"{directory}/{part.path}", check)]


def _matches(part: Part, path: str, check: Callable[[], None]) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            if os.fstat(file.fileno()).st_size != part.size:
                return False
            buffer = memoryview(bytearray(CHUNK))
            found = sha256()
            while count := file.readinto(buffer):
                check()
                found.update(buffer[:count])
    except OSError:
        return False
    return found.hexdigest() == part.sha256
