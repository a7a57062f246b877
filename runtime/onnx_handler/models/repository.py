"""The models of one function: which there are, which are in memory, and which are evicted.

A function with one model loads it while its environment starts. A function with several models loads as many as fit
into its memory, in their order, and the others at their first use; the least recently used models are evicted. If a
model cannot be loaded, the cause is kept. Loading is tried again only if S3, or the provider of the credentials for it,
did not answer.
"""

from __future__ import annotations

import logging
from threading import RLock
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING

from onnx_handler.errors import DiskFull, ModelNotReady, ModelUnusable, NotFound, SourceUnavailable
from onnx_handler.metrics import Metrics
from onnx_handler.settings import Settings
from onnx_handler.storage.prefetch import files_of

from .model import Model

if TYPE_CHECKING:
    from onnx_handler.model_objects import Part
    from onnx_handler.storage.model_cache import ModelCache

_log = logging.getLogger("onnx_handler")

RETRY_AFTER = 10.0  # seconds between two attempts to load a model whose source did not answer


class Served:
    """One model of the function.

    Attributes:
        name: its name in the protocol.
        version: its version there.
        settings: its settings; None if the function's environment is wrong.
        model: the model; None if it is not in memory.
        cause: why it could not be loaded; empty if it was loaded, or not tried yet.
        ready: it was loaded once, and has not failed since; it stays ready when it is evicted.
        retry_at: when loading may be tried again, in seconds of the monotonic clock; infinite for never.
        size: bytes of memory that it takes, as far as is known; 0 if the function has only one model.
        used: when it was used last, in nanoseconds of the performance counter.
        metrics: its metrics; not set if the function's environment is wrong.
    """

    __slots__ = ("cause", "metrics", "model", "name", "ready", "retry_at", "settings", "size", "used", "version")

    def __init__(self, name: str, version: str, settings: Settings | None, cause: str = "") -> None:
        self.name = name
        self.version = version
        self.settings = settings
        if settings is not None:
            self.metrics = Metrics(settings)
        self.model: Model | None = None
        self.cause = cause
        self.retry_at = float("inf")
        self.ready = False
        self.size = 0
        self.used = 0

    @property
    def why_not(self) -> str:
        """The cause, as a sentence for clients."""
        return f"model {self.name!r} is not ready: {self.cause}"


class Repository:
    """The models of one function.

    Args:
        every: settings of all models; empty if the function's environment is wrong.
        cause: what is wrong with the environment.

    Attributes:
        memory: bytes that all models together may take.
        cause: what is wrong with the environment; empty if nothing is.
    """

    def __init__(self, every: list[Settings], cause: str = "") -> None:
        self._lock = RLock()
        self._cache: ModelCache | None = None
        self.cause = "" if every else cause
        if every:
            self._all = [Served(settings.model_name, settings.model_version, settings) for settings in every]
        else:
            self._all = [Served("model", "1", None, cause)]
        self._several = len(self._all) > 1
        self._found: dict[tuple[str, str | None], Served] = {}
        for served in sorted(self._all, key=_by_version):  # without a version: the newest
            self._found[served.name, served.version] = self._found[served.name, None] = served
        self.memory = every[0].model_memory if every else 0
        if self._several:
            for served in self._all:
                served.size = _size_of(served)
        self._load_first()

    def find(self, name: str, version: str | None) -> Served:
        """The model that a request names.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._found[name, version]
        except KeyError:
            raise self._not_found(name, version) from None

    @property
    def only_name(self) -> str | None:
        """The models' name, if all have the same; otherwise None."""
        names = {served.name for served in self._all}
        return names.pop() if len(names) == 1 else None

    def _not_found(self, name: str, version: str | None) -> NotFound:
        versions = [served.version for served in self._all if served.name == name]
        if versions:
            what, serves = f"{name!r} version {version!r}", f"version {_listed(versions)}"
        else:
            what, serves = repr(name), _listed(sorted({served.name for served in self._all}))
        return NotFound(f"Request for unknown model: {what} is not found; this function serves {serves}")

    def loaded(self, served: Served) -> Model:
        """The model, loaded if it was not in memory.

        Raises:
            ModelNotReady: it cannot be loaded; the text says why.
        """
        if served.model is not None:
            return served.model
        with self._lock:
            if served.model is None:
                self._load(served)
            model = served.model
        if model is None:
            raise ModelNotReady(served.why_not)
        return model

    def why_not_ready(self, served: Served) -> str:
        """Why a model is not ready; empty if it is. A model that was not used yet is loaded to find out."""
        if not served.ready:
            try:
                self.loaded(served)
            except ModelNotReady as cause:
                return str(cause)
        return ""

    def why_not_all_ready(self) -> str:
        """Why one of the models is not ready; empty if all are, as the protocol asks of a server that is ready.

        Models that were not used yet count as ready, and are not loaded to find out.
        """
        for served in self._all:
            if served.cause:
                if monotonic() >= served.retry_at:
                    self.why_not_ready(served)
                if served.cause:
                    return served.why_not
        return ""

    def in_memory(self) -> list[Served]:
        """The models that are in memory now."""
        return [served for served in self._all if served.model is not None]

    @property
    def first_metrics(self) -> Metrics | None:
        """The first model's metrics, for events of the whole environment; None if the environment is wrong."""
        first = self._all[0]
        return first.metrics if first.settings is not None else None

    def restored(self) -> None:
        """To be called after a restore from a snapshot: a source that did not answer before may be tried again now."""
        for served in self._all:
            if served.retry_at != float("inf"):
                served.retry_at = monotonic()

    # -- loading ----------------------------------------------------------------------------------------------------

    def _load_first(self) -> None:
        left = self.memory
        for index, served in enumerate(self._all):
            if served.settings is not None and (index == 0 or served.size <= left):
                self._load(served)
                left -= served.size

    def _load(self, served: Served) -> None:
        settings = served.settings
        if settings is None or (served.cause and monotonic() < served.retry_at):
            return
        served.cause, served.retry_at = "", float("inf")
        try:
            if self._several:
                self._make_room(served)
            fetch = None
            if settings.model_objects:
                started = perf_counter_ns()
                settings = settings._replace(model_path=self._obtain(settings))
                fetch = (perf_counter_ns() - started) / 1e6
            before = _resident() if self._several else 0
            model = Model(settings)
        except Exception as cause:
            served.cause, served.ready = str(cause), False
            if isinstance(cause, SourceUnavailable):
                served.retry_at = monotonic() + RETRY_AFTER
            _log.error("model %r did not load: %s", served.name, cause, exc_info=_unless_known(cause))
            return
        if self._several:
            _give_back()
            served.size = max(served.size, _resident() - before)
        served.model, served.ready, served.used = model, True, perf_counter_ns()
        served.metrics.loaded(model.load_time, fetch)

    def _obtain(self, settings: Settings) -> str:
        from onnx_handler.storage.model_cache import ModelCache, default_directory, patience

        if self._cache is None:
            self._cache = ModelCache(default_directory(), settings.cache_size, patience())
        while True:
            try:
                return self._cache.obtain(settings.model_objects)
            except DiskFull:  # the cache does not evict models that are in memory
                if not self._evict([served for served in self.in_memory() if _objects(served)]):
                    raise

    def _make_room(self, wanted: Served) -> None:
        while sum(served.size for served in self.in_memory()) + wanted.size > self.memory:
            if not self._evict(self.in_memory()):
                return

    def _evict(self, candidates: list[Served]) -> bool:
        if not candidates:
            return False
        oldest = min(candidates, key=lambda served: served.used)
        oldest.model = None  # a request that is using it keeps it until the answer
        if self._cache is not None and (objects := _objects(oldest)):
            self._cache.release(objects)
        _give_back()
        _log.info("model %r was evicted", oldest.name)
        return True


def _by_version(served: Served) -> tuple[int, str]:
    return int(served.version) if served.version.isdecimal() else -1, served.version


def _listed(names: list[str]) -> str:
    return repr(names[0]) if len(names) == 1 else repr(names)


def _objects(served: Served) -> tuple[Part, ...]:
    return served.settings.model_objects if served.settings is not None else ()


def _size_of(served: Served) -> int:
    if objects := _objects(served):
        return sum(part.size for part in objects)
    try:
        return sum(size for _, size in files_of(served.settings.model_path)) if served.settings is not None else 0
    except OSError:  # loading it says what is wrong
        return 0


def _resident() -> int:
    """Bytes of this process in memory (resident)."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is not worth its import here
        return int(file.read().split()[1]) * 4096


def _give_back() -> None:
    """Has the C library return freed memory: after a load, it would keep about as much as the model takes."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _unless_known(cause: Exception) -> bool:
    """Whether to log a stack trace: it helps only if the text does not already say what is wrong."""
    return not isinstance(cause, ModelUnusable) or cause.__cause__ is not None
