"""An inference request for a served model, made from its metadata: zeros, and 1 for free dimensions."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

_HEADER_LENGTH = "Inference-Header-Content-Length"
#: Bytes per element. For BYTES it is the length prefix of an empty string.
_SIZES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "BF16": 2,
    "FP32": 4,
    "FP64": 8,
    "BYTES": 4,
}


@dataclass(frozen=True)
class LoadRequest:
    """The request that is sent again and again."""

    path: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def metadata_path(model: str) -> str:
    """The path of a model's metadata."""
    return f"v2/models/{quote(model, safe='')}"


def model_of(environment: Mapping[str, str]) -> str | None:
    """The first model that a function with these environment variables serves; None when it serves none."""
    if environment.get("MODEL_NAME"):
        return environment["MODEL_NAME"]
    try:
        models = json.loads(environment.get("MODELS", "[]"))
        return str(models[0]["name"]) if models else None
    except (KeyError, TypeError, ValueError):
        return None


def inference_request(model: str, metadata: Mapping[str, Any]) -> LoadRequest:
    """An inference request for a model, with binary tensors.

    Args:
        model: Its name.
        metadata: What `GET /v2/models/{model}` answers.

    Raises:
        ValueError: It has an input of an unknown datatype.
    """
    inputs, tensors = [], b""
    for member in metadata.get("inputs") or ():
        datatype = str(member["datatype"])
        if datatype not in _SIZES:
            raise ValueError(f"The model takes {datatype}: give a request by --body.")
        shape = [1 if int(size) < 0 else int(size) for size in member["shape"]]
        size = math.prod(shape) * _SIZES[datatype]
        tensors += bytes(size)
        inputs.append(
            {"name": member["name"], "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
        )
    header = json.dumps({"inputs": inputs}, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(header))}
    return LoadRequest(f"{metadata_path(model)}/infer", headers=headers, body=header + tensors)
