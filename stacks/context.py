"""Reads the prebuilt stacks' options from CDK context: `cdk deploy -c model=... -c memory=...`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TypedDict

from aws_cdk import Duration
from constructs import Node

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    ColdStart,
    ModelSource,
    Processing,
    Removal,
)
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.removal import AnyRemoval

from . import cold_start
from .async_jobs import Notices
from .context_reader import ContextReader, reading
from .large_model import Source

KEYS = (
    "account_log_role",
    "api",
    "audience",
    "auth",
    "auth_reason",
    "batch_size",
    "batching_window",
    "issuer",
    "job_timeout",
    "keep_versions",
    "max_concurrency",
    "memory",
    "micro_batch_size",
    "model",
    "name",
    "notices",
    "processing",
    "removal",
    "removal_reason",
    "requirements",
    "retention",
    "source",
    "stack",
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

One stack is made at a time, because each stack hashes and copies the model:

    stack=realtime|large-model|async-jobs       default: realtime, or large-model if `source` is given

LargeModel, and AsyncJobs if its model is not in the image:

    source=efs|s3|s3-files      where the model is                    default: in the image, with Realtime
    keep_versions=N      for efs and s3-files: models that stay       default: 3
    removal=retain|destroy      for efs, s3-files and jobs: what happens to the storage with the stack   default: retain
    removal_reason=TEXT  for removal=destroy

AsyncJobs; `timeout` (default: 60) and `cold_start` are those of the worker:

    job_timeout=SECONDS  from a job's submission to its deadline      default: 3600, or two attempts of a worker
    retention=DAYS       for finished jobs                            default: 14
    max_concurrency=N    most workers at once                         default: 10
    batch_size=N         most jobs that a worker gets at once         default: 10
    batching_window=SECONDS     how long to wait for jobs to fill a batch   default: 0
    micro_batch_size=N   most rows in one run of the model            default: 1, each job by itself
    notices=topic|event-bus     who is told of finished jobs          default: nobody
"""

_OF_STORAGE = ("keep_versions",)
_OF_REMOVAL = ("removal", "removal_reason")
_OF_JOBS = (
    "batch_size",
    "batching_window",
    "job_timeout",
    "max_concurrency",
    "micro_batch_size",
    "notices",
    "retention",
)


class Prebuilt(StrEnum):
    """Which stack is made."""

    REALTIME = "realtime"
    LARGE_MODEL = "large-model"
    ASYNC_JOBS = "async-jobs"


class ModelOptions(TypedDict):
    """Arguments of `LargeModel` and of `ModelSource.in_image`: the model and its name."""

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


class AsyncJobsOptions(ModelOptions, ServiceOptions):
    """The arguments of `AsyncJobs`."""

    source: Source | None
    keep_versions: int
    removal: AnyRemoval
    max_concurrency: int | None
    batch_size: int
    batching_window: Duration | None
    micro_batch_size: int
    job_timeout: Duration | None
    retention: Duration
    notices: Notices | None


def wanted_stack(node: Node) -> Prebuilt:
    """Which stack the context asks for. Only one is made, because each stack hashes and copies the model.

    Raises:
        InvalidInferenceConfig: `context-value` for a stack that does not exist.
    """
    default = Prebuilt.REALTIME if node.try_get_context("source") is None else Prebuilt.LARGE_MODEL
    with reading(node, KEYS) as reader:
        return Prebuilt(reader.choice("stack", [default, *(stack for stack in Prebuilt if stack is not default)]))


def realtime_options(node: Node, *, default_model: Path) -> RealtimeOptions:
    """Reads and checks the context.

    Args:
        node: The app's node.
        default_model: The model to serve when the context names none.

    Raises:
        InvalidInferenceConfig: With all problems: `context-key` for a key that looks like a misspelt one, and
            `context-value` for a value that cannot be read.
    """
    with reading(node, KEYS) as reader:
        reader.reject(("source", *_OF_STORAGE, *_OF_REMOVAL), "with stack=large-model or stack=async-jobs")
        reader.reject(_OF_JOBS, "with stack=async-jobs")
        return RealtimeOptions(
            model=ModelSource.in_image(**_model(reader, default_model)),
            **_service(reader),
        )


def large_model_options(node: Node, *, default_model: Path) -> LargeModelOptions:
    """As `realtime_options`."""
    with reading(node, KEYS) as reader:
        reader.reject(_OF_JOBS, "with stack=async-jobs")
        return LargeModelOptions(
            source=Source(reader.choice("source", [source.value for source in Source])),
            keep_versions=reader.whole_number("keep_versions", 3),
            removal=_removal(reader),
            **_model(reader, default_model),
            **_service(reader),
        )


def async_jobs_options(node: Node, *, default_model: Path) -> AsyncJobsOptions:
    """As `realtime_options`."""
    with reading(node, KEYS) as reader:
        source = reader.optional_choice("source", [source.value for source in Source])
        if source is None:
            reader.reject(_OF_STORAGE, "with source=efs or source=s3-files")
        notices = reader.optional_choice("notices", [notices.value for notices in Notices])
        job_timeout = reader.optional_number("job_timeout", 3600)
        window = reader.optional_number("batching_window", 1)
        return AsyncJobsOptions(
            source=None if source is None else Source(source),
            keep_versions=reader.whole_number("keep_versions", 3),
            removal=_removal(reader),
            max_concurrency=reader.optional_number("max_concurrency", 10),
            batch_size=reader.whole_number("batch_size", 10),
            batching_window=None if window is None else Duration.seconds(window),
            micro_batch_size=reader.whole_number("micro_batch_size", 1),
            job_timeout=None if job_timeout is None else Duration.seconds(job_timeout),
            retention=Duration.days(reader.whole_number("retention", 14)),
            notices=None if notices is None else Notices(notices),
            **_model(reader, default_model),
            **_service(reader, timeout=60),
        )


def _model(reader: ContextReader, default: Path) -> ModelOptions:
    return ModelOptions(
        path=reader.text("model") or str(default),
        name=reader.text("name"),
        version=reader.text("version") or "1",
    )


def _service(reader: ContextReader, timeout: int = 29) -> ServiceOptions:
    return ServiceOptions(
        processing=_processing(reader),
        memory_size=reader.whole_number("memory", 1769),
        timeout=Duration.seconds(reader.whole_number("timeout", timeout)),
        cold_start=cold_start.read(reader),
        api_type=_api_type(reader),
        auth=_auth(reader),
    )


def _processing(reader: ContextReader) -> Processing | None:
    processing = reader.text("processing")
    requirements = reader.text("requirements")
    if requirements is not None and processing is None:
        reader.problem("requirements", requirements, "with processing=FILE.py", "Give -c processing=FILE.py as well.")
    return Processing(processing, requirements) if processing else None


def _removal(reader: ContextReader) -> AnyRemoval:
    kind = reader.choice("removal", ("retain", "destroy"))
    return Removal.destroy(reason=reader.text("removal_reason") or "") if kind == "destroy" else Removal.retain()


def _api_type(reader: ContextReader) -> AnyApiType:
    kind = reader.choice("api", ("http", "rest"))
    log_role = reader.choice("account_log_role", ("no", "yes"))
    return ApiType.rest_api(account_log_role=log_role == "yes") if kind == "rest" else ApiType.http_api()


def _auth(reader: ContextReader) -> AnyApiAuth:
    kind = reader.choice("auth", ("iam", "jwt", "api-key", "none"))
    if kind == "jwt":
        return ApiAuth.jwt(issuer=reader.text("issuer") or "", audience=[reader.text("audience") or ""])
    if kind == "none":
        return ApiAuth.none(reason=reader.text("auth_reason") or "")
    return ApiAuth.api_key() if kind == "api-key" else ApiAuth.iam()
