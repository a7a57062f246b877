"""The twin's clock: its speed, advancing it by hand, and waiting on it."""

import math
import threading
import time
from datetime import UTC, datetime

import pytest

from onnx_inference.local import Clock

START = datetime(2027, 3, 1, tzinfo=UTC)


def test_a_sped_up_clock_passes_more_time():
    clock = Clock(speed=3600, start=START)
    time.sleep(0.05)
    assert 180 <= clock.time() - START.timestamp() < 3600


def test_a_halted_clock_moves_by_hand_only():
    clock = Clock(speed=0, start=START)
    time.sleep(0.01)
    assert clock.now() == START
    clock.advance(90)
    assert clock.time() == START.timestamp() + 90
    with pytest.raises(ValueError, match="less than nothing"):
        clock.advance(-1)


@pytest.mark.parametrize("speed", [-1, math.nan, math.inf])
def test_a_speed_is_a_number(speed):
    with pytest.raises(ValueError, match="from 0 up"):
        Clock(speed=speed)


def test_waiting_ends_at_its_time_or_when_interrupted():
    clock = Clock(speed=0, start=START)
    seen = []
    stop = threading.Event()

    def wait(seconds):
        seen.append((seconds, clock.wait_until(START.timestamp() + seconds, stop.is_set)))

    threads = [threading.Thread(target=wait, args=(seconds,)) for seconds in (60, 600)]
    for thread in threads:
        thread.start()
    clock.advance(60)
    threads[0].join(timeout=5)
    assert seen == [(60, True)]
    stop.set()
    clock.wake()
    threads[1].join(timeout=5)
    assert seen == [(60, True), (600, False)]


def test_waiting_on_a_sped_up_clock_is_short():
    clock = Clock(speed=600)
    began = time.monotonic()
    assert clock.wait_until(clock.time() + 60, lambda: False)
    assert 0.09 <= time.monotonic() - began < 2
