"""Brings the model while numpy and onnxruntime are imported: reads its files into the page cache, or downloads it.

A command calls `start` ahead of its other imports. So this module imports only what awslambdaric has imported already.
No request waits for it and nothing depends on it: an error here is ignored, and occurs again when the model is loaded.
`docs/model-loading.md` has the measurements behind the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from threading import Lock, Thread

# An image's files, and those on a mount, are behind a network with a high latency: requests must be made in parallel.
THREADS = 4
# Bytes that one system call reads. After each, a thread waits up to 5 ms for the interpreter's lock, which the imports
# hold, so there must not be many.
STRIPE = 16 * 1024**2
# Bytes. A smaller model is read in the time that a thread takes to start.
WORTHWHILE = 4 * 1024**2
_PAGE = 4096

_threads: list[Thread] = []


def start(environment: Mapping[str, str]) -> None:
    """Starts reading or downloading, and returns at once. It never raises."""
    try:
        # Not with SnapStart: the snapshot would include the forked process and its connections.
        snap_start = environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
        if not snap_start and ("MODEL_OBJECTS" in environment or '"objects"' in environment.get("MODELS", "")):
            from .download_ahead import start as start_download

            start_download(environment)
        _threads.extend(read_ahead(list(_files(environment)), _most(environment)))
    except Exception:  # an optimisation must not be what fails
        pass


def wait() -> None:
    """Waits until the files are read."""
    for thread in _threads:
        thread.join()


def read_ahead(files: list[tuple[str, int]], most: int) -> list[Thread]:
    """Starts threads that read files into the page cache.

    Args:
        files: paths, with their sizes.
        most: bytes to read in all. Beyond the function's memory, new pages would only replace those read first.
    """
    size = min(sum(size for _, size in files), most)
    if size < WORTHWHILE:
        return []
    stripes = _stripes(files, most)
    lock = Lock()
    threads = [Thread(target=_read, args=(stripes, lock), daemon=True) for _ in range(min(THREADS, -(-size // STRIPE)))]
    for thread in threads:
        thread.start()
    return threads


def _files(environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Every file that loading will read, with its size."""
    root = environment.get("LAMBDA_TASK_ROOT", ".")
    paths = [environment.get("MODEL_PATH")]
    if "MODELS" in environment:
        import json

        paths = [model.get("path") for model in json.loads(environment["MODELS"])]
    for path in paths:
        if path:
            yield from files_of(os.path.join(root, path))  # noqa: PTH118 - pathlib is not worth its import here


def files_of(path: str) -> Iterator[tuple[str, int]]:
    """The files of one model, a package directory or an .onnx file, with their sizes."""
    if path.endswith(".onnx"):  # other files beside it may belong to other models
        for name in (path, f"{path}.data", f"{path[:-5]}.data"):
            if os.path.isfile(name):  # noqa: PTH113
                yield name, os.path.getsize(name)  # noqa: PTH202
        return
    for directory, inside, names in os.walk(path):
        inside[:] = [name for name in inside if name != "goldens" and not name.startswith(".")]
        for name in names:
            file = os.path.join(directory, name)  # noqa: PTH118
            yield file, os.path.getsize(file)  # noqa: PTH202


def _most(environment: Mapping[str, str]) -> int:
    return int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 1769) * 1024**2 // 2


def _stripes(files: list[tuple[str, int]], most: int) -> Iterator[tuple[str, int]]:
    for file, size in files:
        for offset in range(0, min(size, most), STRIPE):
            yield file, offset
        most -= size


def _read(stripes: Iterator[tuple[str, int]], lock: Lock) -> None:
    """Sends files to /dev/null: the kernel reads them for that, and copies nothing."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        while True:
            with lock:
                stripe = next(stripes, None)
            if stripe is None:
                break
            file = os.open(stripe[0], os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not _is_cached(file, stripe[1]):
                    os.sendfile(nowhere, file, stripe[1], STRIPE)
            finally:
                os.close(file)
        os.close(nowhere)
    except OSError:
        pass


def _is_cached(file: int, offset: int) -> bool:
    """Whether a stripe seems to be in the page cache already, by two samples.

    The first page is none of them: the kernel may have read it ahead when the stripe before was read.
    """
    size = min(STRIPE, os.fstat(file).st_size - offset)
    sample = [bytearray(1)]
    try:
        return all(os.preadv(file, sample, offset + at, os.RWF_NOWAIT) == 1 for at in (size // 2, max(0, size - _PAGE)))
    except OSError:  # not in the cache, or the file system cannot tell
        return False
