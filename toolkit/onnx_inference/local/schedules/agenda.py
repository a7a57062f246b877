"""What is to be done at which time of the twin's clock."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from onnx_inference.local.clock import Clock

_log = logging.getLogger(__name__)
#: How often the deployed schedules are looked at; boto3 may make some at any time.
_LOOK_SECONDS = 0.5
_WORKERS = 64


class Agenda:
    """Does things in order of their time, and lets those of the same time run at once.

    Args:
        clock: The twin's.
        look: Called from time to time, to notice what has changed.
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
        """Do something at a time of the clock; it is to be quick, what takes longer goes through `run`."""
        with self._lock:
            heapq.heappush(self._items, (moment, next(self._numbers), action))
        self._clock.wake()

    def run(self, action: Callable[[], None]) -> None:
        """Do something now, beside the agenda."""
        if not self._closing.is_set():
            self._workers.submit(_logged, action)

    def run_in_order(self, action: Callable[[], None]) -> None:
        """Do something beside the agenda, after what was given here before."""
        if not self._closing.is_set():
            self._in_order.submit(_logged, action)

    def close(self) -> None:
        """Do nothing more; what runs comes to its end by itself."""
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
    """Do it; a failure ends neither the agenda nor the twin."""
    try:
        action()
    except Exception:
        _log.exception("Something that was due failed.")
