"""The environment variables by which the runtime finds the models, and the limit on all variables together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from constructs import Construct

from cdk_onnx_inference import _environment
from cdk_onnx_inference.errors import Problem

from . import _s3_objects
from ._placement import PlacedModel

_MAX_BYTES = 4096
"""Limit of all variables of a function together.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

_PSEUDO_PARAMETERS = {"AWS::AccountId": "0" * 12, "AWS::Region": "us-east-1", "AWS::Partition": "aws"}
"""Values to count with. The region is one of the shortest: variables that fit in some region must not be refused."""


def variables(placed: Sequence[PlacedModel], *, cache_size: int | None, processing: str | None) -> dict[str, str]:
    """The variables of a function with these models.

    Args:
        placed: The models.
        cache_size: MB that downloaded models may take in `/tmp`, or None.
        processing: The processing file, relative to the task root, or None.
    """
    found: dict[str, str | None] = {_environment.MODEL_CACHE_SIZE: None if cache_size is None else str(cache_size)}
    if len(placed) == 1:
        (only,) = placed
        found |= {
            _environment.MODEL_PATH: only.path,
            _environment.MODEL_OBJECTS: _objects(only) if only.model.is_downloaded else None,
            _environment.MODEL_NAME: only.model.name,
            _environment.MODEL_VERSION: only.model.source.version,
            _environment.MODEL_DIGEST: only.model.digest,
            _environment.PROCESSING_PATH: processing,
        }
    else:
        found[_environment.MODELS] = f"[{','.join(_entry(item, processing) for item in placed)}]"
    return {name: value for name, value in found.items() if value is not None}


def check_size(path: str, scope: Construct, variables: Mapping[str, str]) -> list[Problem]:
    """Checks that all variables together have at most 4 KB, measured as Lambda does: as one JSON object.

    A value that is known only at deployment counts as empty, except account, region and partition, which are in the
    name of the bucket for assets.
    """
    stack = Stack.of(scope)
    length = 1 + sum(len(name) + _length(stack.resolve(value)) + len('"":"",') for name, value in variables.items())
    if length <= _MAX_BYTES:
        return []
    return [
        Problem(
            "environment-too-large",
            path,
            f"{length} bytes of variables",
            f"at most {_MAX_BYTES} bytes, names and those of models that are downloaded included",
            "Shorten environment=, serve fewer models in one function, or keep a model's weights in fewer files.",
        )
    ]


def _entry(placed: PlacedModel, processing: str | None) -> str:
    members = {
        "name": placed.model.name,
        "version": placed.model.source.version,
        "digest": placed.model.digest,
        "path": placed.path,
        "processing": processing,
    }
    entry = json.dumps({name: value for name, value in members.items() if value is not None}, separators=(",", ":"))
    if placed.model.is_downloaded:
        return f'{entry[:-1]},"objects":{_objects(placed)}}}'
    return entry


def _objects(placed: PlacedModel) -> str:
    return f'{{"parts":{_s3_objects.as_json(placed.objects)}}}'


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(json.dumps(value, ensure_ascii=False).encode()) - 2
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return sum(_length(item) for item in argument[1])
        if function == "Fn::Sub" and isinstance(argument, str):
            for name, stands_for in _PSEUDO_PARAMETERS.items():
                argument = argument.replace(f"${{{name}}}", stands_for)
            return _length(argument)
        if function == "Ref":
            return len(_PSEUDO_PARAMETERS.get(argument, ""))
    return 0
