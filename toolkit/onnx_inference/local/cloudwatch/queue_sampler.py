"""Samples the queues once a second, because nothing else records how many messages they had."""

import threading
from collections import deque

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.cloudwatch.published import QueueSample

_EVERY_SECONDS = 1.0
_KEPT = 20_000


class QueueSampler:
    """Samples every queue once a second of this machine.

    Args:
        cloud: The embedded cloud.
        clock: The clock of the samples' times.
    """

    def __init__(self, cloud: EmbeddedCloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._samples: deque[QueueSample] = deque(maxlen=_KEPT)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-sampler", daemon=True)
        self._thread.start()

    def samples(self) -> list[QueueSample]:
        """The kept samples, oldest first."""
        return list(self._samples)

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_SECONDS):
            at = self._clock.time()
            for state in self._cloud.queues.states():
                self._samples.append(QueueSample(state.name, at, state.visible, state.oldest_seconds))
