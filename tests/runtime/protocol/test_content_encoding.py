"""Compressed bodies, and bodies that only claim to be."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_handler.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from onnx_handler.protocol.content_encoding import INFLATED_LIMIT, accepts_gzip, decoded, gzipped


@given(st.binary())
def test_round_trips(body: bytes) -> None:
    assert decoded(gzipped(body), "gzip") == body
    assert decoded(gzip.compress(body), " GZIP ") == body
    assert decoded(zlib.compress(body), "deflate") == body
    assert decoded(body, "") == decoded(body, "identity") == body


@given(st.binary(), st.sampled_from(["gzip", "deflate"]))
def test_arbitrary_bytes_never_escape_as_anything_but_an_answer(body: bytes, encoding: str) -> None:
    with contextlib.suppress(InvalidInput, PayloadTooLarge):
        decoded(body, encoding)


@pytest.mark.parametrize("cut", [1, 8, 12])
def test_a_body_that_ends_early(cut: int) -> None:
    with pytest.raises(InvalidInput, match="ends early"):
        decoded(gzipped(b"tensor" * 100)[:-cut], "gzip")


def test_bytes_after_the_end() -> None:
    with pytest.raises(InvalidInput, match="3 bytes after"):
        decoded(gzipped(b"tensor") + b"abc", "gzip")


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(PayloadTooLarge):
        decoded(gzip.compress(bytes(INFLATED_LIMIT + 1)), "gzip")


def test_other_encodings() -> None:
    with pytest.raises(UnsupportedMediaType, match="br"):
        decoded(b"", "br")


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate", True),
        ("br;q=1.0, GZIP;q=0.8, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("gzip;q=nonsense", False),
        ("gzip;level=3", True),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
