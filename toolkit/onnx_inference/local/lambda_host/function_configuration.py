"""Deployed functions, their versions and aliases, read from what Lambda's API answers."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_inference.local.lambda_host.file_systems import FileSystemMount

LATEST = "$LATEST"


@dataclass(frozen=True)
class FunctionArn:
    """The ARN of a function, with its qualifier (alias or version) when there is one."""

    account: str
    region: str
    name: str
    qualifier: str | None = None

    @classmethod
    def parse(cls, arn: str) -> "FunctionArn":
        """Read `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.

        Raises:
            ValueError: It is not the ARN of a function.
        """
        parts = arn.split(":")
        if len(parts) not in (7, 8) or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
            raise ValueError(f"not the ARN of a Lambda function: {arn!r}")
        return cls(parts[4], parts[3], parts[6], parts[7] if len(parts) == 8 else None)

    @classmethod
    def from_integration_uri(cls, uri: str) -> "FunctionArn":
        """Read the function of an API's integration: its URI is an ARN, or API Gateway's path with an ARN in it.

        Raises:
            ValueError: It names no function.
        """
        _, marker, rest = uri.partition(":lambda:path/2015-03-31/functions/")
        return cls.parse(rest.removesuffix("/invocations") if marker else uri)

    def __str__(self) -> str:
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"
        return arn if self.qualifier is None else f"{arn}:{self.qualifier}"


@dataclass(frozen=True)
class FunctionConfiguration:
    """One version of a function, with everything that an execution environment needs to know."""

    arn: FunctionArn
    version: str
    revision: str
    package_type: str
    image_uri: str | None
    command: tuple[str, ...]
    entry_point: tuple[str, ...]
    working_directory: str | None
    environment: Mapping[str, str] = field(hash=False)
    timeout_seconds: int
    memory_mb: int
    log_group: str
    mounts: tuple[FileSystemMount, ...] = ()
    snap_start: bool = False

    @classmethod
    def from_lambda(cls, config: Mapping[str, Any]) -> "FunctionConfiguration":
        """Read what `lambda.get_function_configuration` answers."""
        arn = FunctionArn.parse(config["FunctionArn"])
        image = (config.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
        version = str(config.get("Version", LATEST))
        snap_start = (config.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions"
        return cls(
            arn=FunctionArn(arn.account, arn.region, arn.name),
            version=version,
            revision=str(config.get("RevisionId", "")),
            package_type=str(config.get("PackageType", "Zip")),
            image_uri=config.get("ImageUri"),
            command=tuple(image.get("Command") or ()),
            entry_point=tuple(image.get("EntryPoint") or ()),
            working_directory=image.get("WorkingDirectory"),
            environment=dict((config.get("Environment") or {}).get("Variables") or {}),
            timeout_seconds=int(config.get("Timeout", 3)),
            memory_mb=int(config.get("MemorySize", 128)),
            log_group=str((config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{arn.name}"),
            mounts=tuple(
                FileSystemMount(str(entry["Arn"]), str(entry["LocalMountPath"]))
                for entry in config.get("FileSystemConfigs") or ()
            ),
            snap_start=snap_start and version != LATEST,
        )

    @property
    def name(self) -> str:
        """The function's name."""
        return self.arn.name


@dataclass(frozen=True)
class AliasRouting:
    """The versions that an alias routes invocations to: the primary one, and others with weights."""

    version: str
    additional_weights: Mapping[str, float] = field(default_factory=dict, hash=False)

    def choose(self, draw: Callable[[], float] = random.random) -> str:
        """The version of one invocation, drawn at random by the weights."""
        point = draw()
        for version, weight in self.additional_weights.items():
            if point < weight:
                return version
            point -= weight
        return self.version


@dataclass(frozen=True)
class AsynchronousPolicy:
    """How Lambda retries an asynchronous invocation. The defaults are Lambda's."""

    attempts: int = 2
    age_seconds: float = 21_600.0


@dataclass(frozen=True)
class DeployedFunction:
    """A function as deployed at one moment."""

    configurations: Mapping[str, Mapping[str, Any]] = field(hash=False)
    aliases: Mapping[str, AliasRouting] = field(hash=False)
    reserved_concurrency: int | None
    provisioned_concurrency: Mapping[str, int] = field(hash=False)
    asynchronous_policies: Mapping[str, AsynchronousPolicy] = field(default_factory=dict, hash=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "DeployedFunction":
        """Read the embedded cloud's record of a function."""
        configurations = {LATEST: record["config"]}
        configurations |= {str(name): entry["config"] for name, entry in dict(record.get("versions") or {}).items()}
        aliases = {
            name: AliasRouting(
                str(alias["FunctionVersion"]),
                dict((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}),
            )
            for name, alias in dict(record.get("aliases") or {}).items()
        }
        reserved = record.get("concurrency")
        provisioned = {
            qualifier: int(entry["RequestedProvisionedConcurrentExecutions"])
            for qualifier, entry in dict(record.get("provisioned_concurrency") or {}).items()
        }
        policies = {
            str(qualifier): AsynchronousPolicy(
                int(entry.get("MaximumRetryAttempts", AsynchronousPolicy.attempts)),
                float(entry.get("MaximumEventAgeInSeconds", AsynchronousPolicy.age_seconds)),
            )
            for qualifier, entry in dict(record.get("event_invoke_configs") or {}).items()
        }
        return cls(configurations, aliases, None if reserved is None else int(reserved), provisioned, policies)

    def asynchronous_policy(self, qualifier: str | None) -> AsynchronousPolicy:
        """How an asynchronous invocation by this qualifier is retried."""
        return self.asynchronous_policies.get(qualifier or "", AsynchronousPolicy())

    def version_of(self, qualifier: str | None, draw: Callable[[], float] = random.random) -> str | None:
        """The version that one invocation by this qualifier goes to; None when there is no such qualifier."""
        if qualifier is None:
            return LATEST
        if qualifier in self.aliases:
            return self.aliases[qualifier].choose(draw)
        return qualifier if qualifier in self.configurations else None

    def route(self, qualifier: str | None) -> FunctionConfiguration | None:
        """The version that one invocation by this qualifier goes to; None when there is no such qualifier."""
        version = self.version_of(qualifier)
        return None if version is None else self.configuration(version)

    def primary_configuration(self, qualifier: str | None) -> FunctionConfiguration | None:
        """The version that a qualifier means: of an alias its primary one, which has no weight of its own."""
        version = self.version_of(qualifier, lambda: 1.0)
        return None if version is None else self.configuration(version)

    def configuration(self, version: str) -> FunctionConfiguration | None:
        """The configuration of one version; None when it does not exist."""
        config = self.configurations.get(version)
        return None if config is None else FunctionConfiguration.from_lambda(config)
