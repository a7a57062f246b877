"""Throttling by a token bucket."""

from onnx_inference.local.gateway.throttle import TokenBucket


def test_a_token_bucket_holds_a_burst_and_fills_at_its_rate():
    now = [0.0]
    bucket = TokenBucket(2.0, 3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
