"""The cloud assembly (`cdk.out`): stacks, where they go, and the assets they need."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_STACK = "aws:cloudformation:stack"
_NESTED_ASSEMBLY = "cdk:cloud-assembly"
_ASSETS = "cdk:asset-manifest"


class AssemblyError(ValueError):
    """The directory is not a cloud assembly, or has no such stack."""


@dataclass(frozen=True)
class FileAsset:
    """A file or directory that is uploaded to a bucket. Names may contain `${AWS::AccountId}` and the like."""

    source: Path
    packaging: str
    bucket: str
    key: str


@dataclass(frozen=True)
class DockerImageAsset:
    """A staged build context, and the repository and tag of its image."""

    directory: Path
    docker_file: str
    repository: str
    tag: str


@dataclass(frozen=True)
class StackArtifact:
    """One stack of the assembly.

    Attributes:
        artifact_id: Its id in the assembly.
        display_name: Its name for the CDK CLI.
        stack_name: Its name in CloudFormation.
        account: The account; None when the app names none.
        region: The region; None when the app names none.
        template_path: The template.
        dependencies: The artifact ids of what is deployed before it.
        parameters: Values of the template's parameters.
        tags: The stack's tags.
        file_assets: The files and directories that it needs in buckets.
        image_assets: The images that it needs in repositories.
    """

    artifact_id: str
    display_name: str
    stack_name: str
    account: str | None
    region: str | None
    template_path: Path
    dependencies: tuple[str, ...]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    file_assets: tuple[FileAsset, ...]
    image_assets: tuple[DockerImageAsset, ...]

    @cached_property
    def template(self) -> dict[str, Any]:
        """The template."""
        value: dict[str, Any] = json.loads(self.template_path.read_text())
        return value

    def resource_types(self) -> list[str]:
        """The type of each resource, once per resource."""
        return [str(resource["Type"]) for resource in self.template.get("Resources", {}).values()]


class CloudAssembly:
    """A directory that a CDK app wrote.

    Args:
        directory: The assembly, usually `cdk.out`.

    Raises:
        AssemblyError: There is no readable manifest.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).resolve()
        manifest = self.directory / "manifest.json"
        try:
            self._manifest = json.loads(manifest.read_text())
        except (OSError, ValueError) as error:
            raise AssemblyError(f"{self.directory} is not a cloud assembly: {manifest.name} cannot be read") from error
        self.stacks: tuple[StackArtifact, ...] = tuple(self._read_stacks())

    def select(self, names: Sequence[str] = ()) -> list[StackArtifact]:
        """The named stacks and the stacks that they depend on, in the order of deployment.

        Args:
            names: Stack names or artifact ids. Default: every stack.

        Raises:
            AssemblyError: A name is unknown, or there is no stack at all.
        """
        if not self.stacks:
            raise AssemblyError(f"{self.directory} holds no stack")
        by_id = {stack.artifact_id: stack for stack in self.stacks}
        wanted = [self._named(name) for name in names] or list(self.stacks)
        order: dict[str, StackArtifact] = {}

        def add(stack: StackArtifact) -> None:
            for dependency in stack.dependencies:
                if dependency in by_id and dependency not in order:
                    add(by_id[dependency])
            order.setdefault(stack.artifact_id, stack)

        for stack in wanted:
            add(stack)
        return list(order.values())

    def _named(self, name: str) -> StackArtifact:
        for stack in self.stacks:
            if name in (stack.stack_name, stack.artifact_id, stack.display_name):
                return stack
        known = ", ".join(stack.stack_name for stack in self.stacks)
        raise AssemblyError(f"The app has no stack {name!r}. It has: {known}")

    def _read_stacks(self) -> Iterable[StackArtifact]:
        artifacts: dict[str, dict[str, Any]] = self._manifest.get("artifacts", {})
        for artifact_id, artifact in artifacts.items():
            if artifact["type"] == _NESTED_ASSEMBLY:
                yield from CloudAssembly(self.directory / artifact["properties"]["directoryName"]).stacks
            elif artifact["type"] == _STACK:
                yield self._read_stack(artifact_id, artifact, artifacts)

    def _read_stack(
        self, artifact_id: str, artifact: Mapping[str, Any], artifacts: Mapping[str, Mapping[str, Any]]
    ) -> StackArtifact:
        properties = artifact["properties"]
        account, _, region = str(artifact["environment"]).removeprefix("aws://").partition("/")
        dependencies = tuple(artifact.get("dependencies", ()))
        files: list[FileAsset] = []
        images: list[DockerImageAsset] = []
        for dependency in dependencies:
            if artifacts.get(dependency, {}).get("type") == _ASSETS:
                manifest = self.directory / artifacts[dependency]["properties"]["file"]
                assets = json.loads(manifest.read_text())
                files += self._file_assets(assets)
                images += self._image_assets(assets)
        return StackArtifact(
            artifact_id=artifact_id,
            display_name=str(artifact.get("displayName", artifact_id)),
            stack_name=str(properties.get("stackName", artifact_id)),
            account=None if account.startswith("unknown-") else account,
            region=None if region.startswith("unknown-") else region,
            template_path=self.directory / properties["templateFile"],
            dependencies=dependencies,
            parameters=dict(properties.get("parameters", {})),
            tags=dict(properties.get("tags", {})),
            file_assets=tuple(files),
            image_assets=tuple(images),
        )

    def _file_assets(self, assets: Mapping[str, Any]) -> Iterable[FileAsset]:
        for entry in assets.get("files", {}).values():
            source = entry["source"]
            if "path" not in source:
                continue
            for destination in entry["destinations"].values():
                yield FileAsset(
                    self.directory / source["path"],
                    str(source.get("packaging", "file")),
                    destination["bucketName"],
                    destination["objectKey"],
                )

    def _image_assets(self, assets: Mapping[str, Any]) -> Iterable[DockerImageAsset]:
        for entry in assets.get("dockerImages", {}).values():
            source = entry["source"]
            if "directory" not in source:
                continue
            for destination in entry["destinations"].values():
                yield DockerImageAsset(
                    self.directory / source["directory"],
                    str(source.get("dockerFile", "Dockerfile")),
                    destination["repositoryName"],
                    destination["imageTag"],
                )
