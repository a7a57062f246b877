"""Runs actions at their times on the twin's clock."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from onnx_inference.local.clock import Clock

_log = logging.getLogger(__name__)
#: How often the deployed schedules are read. A client may create one at any time.
_LOOK_SECONDS = 0.5
_WORKERS = 64


class Agenda:
    """Runs actions in the order of their times. Those of the same time may run at once.

    Args:
        clock: The twin's clock.
        look: Called twice a second, to notice what has changed.
    """

    def __init__(self, clock: Clock, look: Callable[[], None]) -> None:
        self._clock = clock
        self._look = look
        self._items: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="agenda")
        self._in_order = ThreadPoolExecutor(max_workers=1, thread_name_prefix="agenda-in-order")
        self._thread = threading.Thread(target=self._run, name="agenda", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Run an action at a time of the clock. It has to be quick; use `run` for anything that takes longer."""
        with self._lock:
            heapq.heappush(self._items, (moment, next(self._numbers), action))
        self._clock.wake()

    def run(self, action: Callable[[], None]) -> None:
        """Run an action now, in a thread of its own."""
        if not self._closing.is_set():
            self._workers.submit(_logged, action)

    def run_in_order(self, action: Callable[[], None]) -> None:
        """Run an action in another thread, after those that were given to this method before."""
        if not self._closing.is_set():
            self._in_order.submit(_logged, action)

    def close(self) -> None:
        """Start nothing more. Running actions end by themselves."""
        self._closing.set()
        self._clock.wake()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._in_order.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closing.is_set():
            _logged(self._look)
            look_again = time.monotonic() + _LOOK_SECONDS
            while time.monotonic() < look_again and not self._closing.is_set():
                first = self._first()

                def interrupted(first: float = first, look_again: float = look_again) -> bool:
                    return self._closing.is_set() or self._first() < first or time.monotonic() >= look_again

                if self._clock.wait_until(first, interrupted):
                    self._do_first()

    def _first(self) -> float:
        with self._lock:
            return self._items[0][0] if self._items else float("inf")

    def _do_first(self) -> None:
        with self._lock:
            action = heapq.heappop(self._items)[2]
        _logged(action)


def _logged(action: Callable[[], None]) -> None:
    """Run an action. A failure is logged, and ends neither the agenda nor the twin."""
    try:
        action()
    except Exception:
        _log.exception("Something that was due failed.")
