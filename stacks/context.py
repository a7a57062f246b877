"""Reads the prebuilt stacks' options from CDK context: `cdk deploy -c model=... -c memory=...`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from aws_cdk import Duration
from constructs import Node

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    ColdStart,
    InvalidInferenceConfig,
    ModelSource,
    Problem,
    Processing,
    Removal,
)
from cdk_onnx_inference.api_auth import AnyApiAuth
from cdk_onnx_inference.api_type import AnyApiType
from cdk_onnx_inference.removal import AnyRemoval

from . import cold_start
from .large_model import Source

KEYS = (
    "account_log_role",
    "api",
    "audience",
    "auth",
    "auth_reason",
    "issuer",
    "keep_versions",
    "memory",
    "model",
    "name",
    "processing",
    "removal",
    "removal_reason",
    "requirements",
    "source",
    "timeout",
    "version",
    *cold_start.KEYS,
)
"""What may follow `-c`.

    model=PATH           an .onnx file or a package directory         default: the digits example
    name=NAME            the model's name in URLs                     default: the file's or directory's own
    version=N            the model's version in URLs                  default: 1
    processing=FILE.py   pre- and post-processing                     default: none
    requirements=FILE    what FILE.py imports; needs processing       default: none
    memory=MB            memory of the function                       default: 1769
    timeout=SECONDS      longest run of one request                   default: 29
    cold_start=on-demand|warmer|provisioned|snap-start          see docs/cold-start.md   default: on-demand
    provisioned_min=N    environments that are always there       default: 1
    provisioned_max=N    most environments, by utilisation        default: as many as provisioned_min, fixed
    provisioned_target=PERCENT  utilisation to keep, 10 to 90     default: 70
    warmer_concurrency=N environments to keep                     default: 1
    warmer_interval=MINUTES     between two pings                 default: 5
    warmer_hours=8-18    hours with pings, Monday to Friday       default: always
    warmer_time_zone=Europe/Berlin  whose hours                   default: UTC
    api=http|rest        kind of API                                  default: http
    account_log_role=yes|no     for api=rest: also set the account's role for API logs   default: no
    auth=iam|jwt|api-key|none   who may call                          default: iam
    issuer=URL audience=NAME    for auth=jwt
    auth_reason=TEXT     for auth=none

Only with `source` is there a stack LargeModel, and then there is no Realtime:

    source=efs|s3|s3-files      where the model is                    default: in the image, with Realtime
    keep_versions=N      for efs and s3-files: models that stay       default: 3
    removal=retain|destroy      for efs and s3-files: what becomes of the storage with the stack   default: retain
    removal_reason=TEXT  for removal=destroy
"""


class ModelOptions(TypedDict):
    """Which model, and under what name: arguments of `LargeModel`, and of `ModelSource.in_image`."""

    path: str
    name: str | None
    version: str


class ServiceOptions(TypedDict):
    """Arguments that every stack with an API has."""

    processing: Processing | None
    memory_size: int
    timeout: Duration
    cold_start: ColdStart
    api_type: AnyApiType
    auth: AnyApiAuth


class RealtimeOptions(ServiceOptions):
    """The arguments of `Realtime`."""

    model: ModelSource


class LargeModelOptions(ModelOptions, ServiceOptions):
    """The arguments of `LargeModel`."""

    source: Source
    keep_versions: int
    removal: AnyRemoval


def wants_large_model(node: Node) -> bool:
    """Whether the context asks for `LargeModel`, rather than `Realtime`.

    Never both: each would hash and copy the model, and one of them in vain.
    """
    return node.try_get_context("source") is not None


def realtime_options(node: Node, *, default_model: Path) -> RealtimeOptions:
    """Reads and checks the context.

    Args:
        node: The app's node.
        default_model: The model to serve when the context names none.

    Raises:
        InvalidInferenceConfig: With all problems: `context-key` for a key that looks like a misspelt one, and
            `context-value` for a value that cannot be read.
    """
    with _reading(node) as reader:
        for key in ("keep_versions", "removal", "removal_reason"):
            if (value := reader.text(key)) is not None:
                reader.problem(key, value, "with source=efs or source=s3-files", "Give -c source=... as well.")
        return RealtimeOptions(
            model=ModelSource.in_image(**_model(reader, default_model)),
            **_service(reader),
        )


def large_model_options(node: Node, *, default_model: Path) -> LargeModelOptions:
    """As `realtime_options`."""
    with _reading(node) as reader:
        return LargeModelOptions(
            source=Source(reader.choice("source", [source.value for source in Source])),
            keep_versions=reader.whole_number("keep_versions", 3),
            removal=_removal(reader),
            **_model(reader, default_model),
            **_service(reader),
        )


@contextmanager
def _reading(node: Node) -> Iterator[_Reader]:
    """Raises what was wrong, all of it, at the end of the block."""
    reader = _Reader(node)
    reader.reject_misspelt_keys()
    yield reader
    reader.raise_problems()


def _model(reader: _Reader, default: Path) -> ModelOptions:
    return ModelOptions(
        path=reader.text("model") or str(default),
        name=reader.text("name"),
        version=reader.text("version") or "1",
    )


def _service(reader: _Reader) -> ServiceOptions:
    return ServiceOptions(
        processing=_processing(reader),
        memory_size=reader.whole_number("memory", 1769),
        timeout=Duration.seconds(reader.whole_number("timeout", 29)),
        cold_start=cold_start.read(reader),
        api_type=_api_type(reader),
        auth=_auth(reader),
    )


def _processing(reader: _Reader) -> Processing | None:
    processing = reader.text("processing")
    requirements = reader.text("requirements")
    if requirements is not None and processing is None:
        reader.problem("requirements", requirements, "with processing=FILE.py", "Give -c processing=FILE.py as well.")
    return Processing(processing, requirements) if processing else None


def _removal(reader: _Reader) -> AnyRemoval:
    kind = reader.choice("removal", ("retain", "destroy"))
    return Removal.destroy(reason=reader.text("removal_reason") or "") if kind == "destroy" else Removal.retain()


def _api_type(reader: _Reader) -> AnyApiType:
    kind = reader.choice("api", ("http", "rest"))
    log_role = reader.choice("account_log_role", ("no", "yes"))
    return ApiType.rest_api(account_log_role=log_role == "yes") if kind == "rest" else ApiType.http_api()


def _auth(reader: _Reader) -> AnyApiAuth:
    kind = reader.choice("auth", ("iam", "jwt", "api-key", "none"))
    if kind == "jwt":
        return ApiAuth.jwt(issuer=reader.text("issuer") or "", audience=[reader.text("audience") or ""])
    if kind == "none":
        return ApiAuth.none(reason=reader.text("auth_reason") or "")
    return ApiAuth.api_key() if kind == "api-key" else ApiAuth.iam()


class _Reader:
    """Values of the context, which from the command line are strings and from cdk.json may be anything."""

    def __init__(self, node: Node) -> None:
        self._context: dict[str, Any] = {str(key): value for key, value in node.get_all_context().items()}
        self._problems: list[Problem] = []

    def reject_misspelt_keys(self) -> None:
        for key in sorted(self._context.keys() - set(KEYS)):
            meant = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.75)
            if meant:
                self._problems.append(
                    Problem("context-key", f"context.{key}", repr(key), ", ".join(KEYS), f"Did you mean {meant[0]!r}?")
                )

    def text(self, key: str) -> str | None:
        value = self._context.get(key)
        if value is None:
            return None
        if isinstance(value, bool | dict | list):
            self.problem(key, value, "text", "Give one value.")
            return None
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if text.strip():
            return text
        self.problem(key, value, "text that is not blank", f"Leave {key} out for its default.")
        return None

    def whole_number(self, key: str, default: int) -> int:
        text = self.text(key)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        self.problem(key, text, "a whole number", f"Give e.g. -c {key}={default}.")
        return default

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """One of the choices; the first is the default."""
        names = tuple(choices)
        text = self.text(key)
        if text is None or text in names:
            return text or names[0]
        self.problem(key, text, ", ".join(names), f"Give e.g. -c {key}={names[0]}.")
        return names[0]

    def problem(self, key: str, got: object, allowed: str, fix: str) -> None:
        self._problems.append(Problem("context-value", f"context.{key}", repr(got), allowed, fix))

    def raise_problems(self) -> None:
        if self._problems:
            raise InvalidInferenceConfig(self._problems)
