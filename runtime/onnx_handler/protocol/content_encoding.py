"""Bodies that arrive or leave compressed."""

from __future__ import annotations

from onnx_handler.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType

# A request of Lambda's 6 MB can inflate a thousandfold; past this it is refused rather than inflated.
INFLATED_LIMIT = 64 * 1024 * 1024
# Below this an answer fits one network packet, and compressing gains nothing.
WORTH_COMPRESSING = 1400

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's own numbers for these containers


def decoded(body: bytes, encoding: str) -> bytes:
    """Inflates a request body.

    Args:
        body: the bytes as sent.
        encoding: the Content-Encoding header; empty or `identity` leaves the body as it is.

    Raises:
        UnsupportedMediaType: an encoding other than gzip and deflate.
        InvalidInput: the body is not in that encoding.
        PayloadTooLarge: it inflates past INFLATED_LIMIT.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise UnsupportedMediaType(f"Content-Encoding {encoding!r}: gzip, deflate and identity are read here")
    import zlib  # late, as a library of its own that few requests need

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
    """Says whether an Accept-Encoding header admits gzip (RFC 9110, 12.5.3)."""
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
    """Compresses an answer at the fastest level: tensors hardly shrink further, and the client waits."""
    import zlib

    compressor = zlib.compressobj(level=1, wbits=31)
    return compressor.compress(body) + compressor.flush()
