"""Makes requests from bytes: any bytes give a request that is valid enough to pass the first checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

DATATYPES = ["FP32", "FP32", "INT64", "BYTES", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32"]
DATATYPES += ["FP16", "FP64", "BF16", "fp32", "FP8", ""]
NUMBERS = [0, 1, -1, 4, 127, 128, 255, 256, 2**15, 2**16, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**64 - 1]
NUMBERS += [-(2**63), -(2**63) - 1, 10**400, -(10**30)]
FRACTIONS = [0.0, -0.0, 0.5, 1e-45, 5e-324, 65504.0, 65520.0, 3.4e38, 3.5e38, 1e308, float("inf"), float("nan"), -1.0]
TEXTS = ["", "x", "y", "a", "model", "1", "\0", "\ud800", "é", "\U0001f600", "%s", "NaN", "true", "gzip", "v2"]
HEADERS = ["content-encoding", "Content-Encoding", "inference-header-content-length", "accept-encoding", "content-type"]
HEADER_VALUES = ["gzip", "deflate", "identity", "br", "gzip, deflate", "*", "gzip;q=0", "gzip;q=x", "0", "7", "²", "-1"]
PATHS = ["/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/model", "/v2/models/model/ready"]
PATHS += ["/v2/models/model/infer", "/v2/models/model/versions/1/infer", "/prod/v2/models/model/infer", "/v2/models/x"]
PATHS += ["/v2/models/model/versions/2", "/v2/v2/health/live", "v2", "", "/", "/v2/models/%6dodel", "/v2/models/%ff"]
MEMBERS = ["version", "rawPath", "path", "httpMethod", "headers", "multiValueHeaders", "body", "isBase64Encoded"]
GOOD = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}'
DEEPEST = 4


class Choices:
    """Choices made from bytes; past their end, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def byte(self) -> int:
        """The next byte."""
        if self._position >= len(self._data):
            return 0
        self._position += 1
        return self._data[self._position - 1]

    def below(self, limit: int) -> int:
        """A number from 0 to below `limit`."""
        return self.byte() % limit

    def seldom(self) -> bool:
        """True one time in sixteen, and never once the bytes are used up."""
        return self.byte() > 239

    def of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def raw(self, size: int) -> bytes:
        """At most `size` bytes as they are."""
        taken = self._data[self._position : self._position + size]
        self._position += len(taken)
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.raw(len(self._data))


def text(choices: Choices) -> str:
    """A string: one of the awkward ones, or any."""
    if choices.below(4):
        return choices.of(TEXTS)
    return choices.raw(choices.below(40)).decode("utf-8", "surrogateescape")


def value(choices: Choices, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = choices.below(8 if depth < DEEPEST else 5)
    if kind == 0:
        return choices.of([None, True, False, 0, "", []])
    if kind == 1:
        return choices.of(NUMBERS)
    if kind == 2:
        return choices.of(FRACTIONS)
    if kind == 3:
        return text(choices)
    if kind == 4:
        return choices.byte()
    if kind == 7:
        return {text(choices): value(choices, depth + 1) for _ in range(choices.below(4))}
    return [value(choices, depth + 1) for _ in range(choices.below(6))]


def shape(choices: Choices) -> Any:
    """A shape, mostly of small sizes."""
    if choices.seldom():
        return value(choices)
    return [choices.of(NUMBERS) if choices.seldom() else choices.below(5) for _ in range(choices.below(4))]


def scalars(choices: Choices, datatype: Any, count: int) -> list[Any]:
    """Values of a datatype, sometimes with one of another kind among them."""
    made: list[Any] = []
    for _ in range(count):
        if choices.seldom():
            made.append(value(choices))
        elif datatype == "BYTES":
            made.append(text(choices))
        elif datatype == "BOOL":
            made.append(bool(choices.below(2)))
        elif isinstance(datatype, str) and datatype.startswith(("FP", "BF")):
            made.append(choices.of(FRACTIONS) if choices.below(2) else choices.byte())
        else:
            made.append(choices.of(NUMBERS) if choices.seldom() else choices.below(128))
    return made


def nested(flat: list[Any], sizes: list[Any]) -> Any:
    """A flat list nested to a shape."""
    for size in reversed(sizes[1:] if isinstance(sizes, list) else []):
        if not isinstance(size, int) or size < 1 or size > 64:
            return flat
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def counted(sizes: Any) -> int:
    """How many values a shape holds, at most 64."""
    count = 1
    for size in sizes if isinstance(sizes, list) else []:
        count = min(count * size, 64) if isinstance(size, int) and size >= 0 else count
    return count


def tensor(choices: Choices, raw: list[bytes], name: str, datatype: str, sizes: Any) -> dict[str, Any]:
    """One input; its binary data, if it has any, goes to `raw`."""
    made: dict[str, Any] = {"name": name, "datatype": datatype, "shape": sizes}
    if choices.seldom():
        made["datatype"] = value(choices) if choices.below(2) else choices.of(DATATYPES)
    if choices.seldom():
        made["name"] = value(choices)
    form = choices.below(4)
    if form < 2:
        data: Any = scalars(choices, datatype, counted(sizes) + (1 if choices.seldom() else 0))
        made["data"] = value(choices) if choices.seldom() else nested(data, sizes) if form and sizes else data
    else:
        width = {"8": 1, "6": 2, "2": 4, "4": 8}.get(datatype[-1:], 1)
        if datatype == "BYTES":
            body = b""
            for _ in range(counted(sizes)):
                element = choices.raw(choices.below(8))
                body += len(element).to_bytes(4, "little") + element
        else:
            body = choices.raw(counted(sizes) * width).ljust(counted(sizes) * width, b"\0")
        if choices.seldom():
            body += choices.raw(8)
        if choices.seldom():
            body = body[: choices.byte()]
        made["parameters"] = {"binary_data_size": value(choices) if choices.seldom() else len(body)}
        raw.append(body)
    if choices.seldom():
        made[choices.of(["parameters", "data", "shape"])] = value(choices)
    return made


def document(
    choices: Choices, inputs: Sequence[tuple[str, str, list[int]]], outputs: Sequence[str]
) -> tuple[Any, bytes]:
    """A request for a model with these inputs and outputs: the JSON and the binary data that follows it."""
    raw: list[bytes] = []
    tensors: Any = []
    for name, datatype, sizes in inputs:
        if choices.seldom():
            continue
        fitting = [choices.below(5) if size == -1 else size for size in sizes]
        chosen = (name, datatype, fitting)
        if choices.seldom():
            chosen = (text(choices), choices.of(DATATYPES), shape(choices))
        tensors.append(tensor(choices, raw, *chosen))
    if choices.seldom():
        tensors.append(tensor(choices, raw, text(choices), choices.of(DATATYPES), shape(choices)))
    made: Any = {"inputs": value(choices) if choices.seldom() else tensors}
    if choices.below(2):
        made["parameters"] = value(choices) if choices.seldom() else {"binary_data_output": bool(choices.below(2))}
    if choices.below(4) == 1:
        named = [{"name": choices.of(outputs), "parameters": {"binary_data": bool(choices.below(2))}}]
        made["outputs"] = value(choices) if choices.seldom() else named
    if choices.below(4) == 1:
        made["id"] = value(choices) if choices.seldom() else text(choices)
    if choices.seldom():
        made = value(choices)
    return made, b"".join(raw)


def event(choices: Choices) -> Any:
    """An event of any source, or something like one."""
    if choices.seldom():
        return value(choices)
    names = choices.of([HEADERS, TEXTS])
    headers: Any = {
        choices.of(names): value(choices) if choices.seldom() else choices.of(HEADER_VALUES)
        for _ in range(choices.below(4))
    }
    path: Any = choices.of(PATHS) + (text(choices) if choices.seldom() else "")
    method: Any = "POST" if path.endswith("/infer") else "GET"
    if choices.seldom():
        method = choices.of(["POST", "GET", "HEAD", "get", "", None, "\ud800"])
    body: Any = choices.of([GOOD, '{"inputs":[]}', "", "e30=", "AAAA", "{", "\ud800", "é", None])
    made: dict[str, Any] = {"body": body, "isBase64Encoded": choices.of([False, True, False, None, "true", 1])}
    source = choices.below(4)
    if source < 2:
        made |= {"requestContext": {"http": {"method": method}}, "rawPath": path, "headers": headers}
    else:
        made |= {"requestContext": choices.of([{}, {"elb": {}}, None, []]), "httpMethod": method, "path": path}
        many = {name: [held] * (1 + choices.below(2)) for name, held in headers.items()}
        made |= {"headers": headers} if source == 2 else {"multiValueHeaders": many}
    for _ in range(choices.below(3)):
        made[choices.of(MEMBERS)] = value(choices)
    return made
