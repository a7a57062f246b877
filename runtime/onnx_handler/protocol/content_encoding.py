"""Compressed bodies: Content-Encoding and Accept-Encoding."""

from __future__ import annotations

from onnx_handler.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType

# Bytes. A body of 6 MB, Lambda's limit, could inflate a thousandfold; a body that inflates past this is refused.
INFLATED_LIMIT = 64 * 1024 * 1024
# Bytes. A smaller answer fits into one network packet, and compressing it gains nothing.
WORTH_COMPRESSING = 1400

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # how zlib calls these formats


def decoded(body: bytes, encoding: str) -> bytes:
    """Inflates a request body.

    Args:
        body: the bytes as sent.
        encoding: the Content-Encoding header; empty or `identity` leaves the body as it is.

    Raises:
        UnsupportedMediaType: the encoding is neither gzip nor deflate.
        InvalidInput: the body is not in this encoding.
        PayloadTooLarge: the body inflates past INFLATED_LIMIT.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise UnsupportedMediaType(f"Content-Encoding {encoding!r}: gzip, deflate and identity are read here")
    import zlib  # late: few requests need it

    inflater = zlib.decompressobj(wbits=bits)
    try:
        inflated = inflater.decompress(body, INFLATED_LIMIT)
    except zlib.error as error:
        raise InvalidInput(f"the body is not {encoding}, as its Content-Encoding says: {error}") from None
    if not inflater.eof and len(inflated) >= INFLATED_LIMIT:
        raise PayloadTooLarge(f"the {encoding} body inflates past {INFLATED_LIMIT} bytes")
    if not inflater.eof:
        raise InvalidInput(f"the {encoding} body ends early")
    if inflater.unused_data:
        raise InvalidInput(f"the {encoding} body has {len(inflater.unused_data)} bytes after its end")
    return inflated


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header accepts gzip (RFC 9110, 12.5.3)."""
    if not header:
        return False
    weights = {}
    for choice in header.lower().split(","):
        name, _, weight = choice.partition(";")
        try:
            weights[name.strip()] = float(weight.partition("q=")[2] or 1)
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def gzipped(body: bytes) -> bytes:
    """Compresses an answer at the fastest level, because tensors hardly get smaller at others."""
    import zlib

    compressor = zlib.compressobj(level=1, wbits=31)
    return compressor.compress(body) + compressor.flush()
