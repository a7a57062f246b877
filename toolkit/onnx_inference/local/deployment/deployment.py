"""Deploys apps and cloud assemblies, by CloudFormation's API or the CDK CLI, and knows what was deployed."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.deployment.cdk_cli import CdkCli, CliRun
from onnx_inference.local.deployment.cloud_assembly import CloudAssembly, StackArtifact
from onnx_inference.local.deployment.cloudformation import CloudFormation, DeployedStack, DeploymentError
from onnx_inference.local.deployment.synthesis import CdkApp
from onnx_inference.local.deployment.template_coverage import RecordedOnly, recorded_only
from onnx_inference.local.lambda_host.container_engine import ContainerEngine
from onnx_inference.local.lambda_host.image_asset import ImageAsset, ImageAssets
from onnx_inference.local.schedules.scaling import is_run_here


class IncompleteDeployment(AssertionError):
    """Logical ids of a template are missing from the deployed stack."""


@dataclass(frozen=True)
class DeploymentSource:
    """What to deploy, and how: the arguments of `LocalTwin.deploy`."""

    directory: Path = field(default_factory=Path.cwd)
    app: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    assembly: Path | None = None
    stacks: tuple[str, ...] = ()
    cdk_cli: bool = False


@dataclass(frozen=True)
class StackResources:
    """The resources of a deployed stack and of the stacks nested in it, as CloudFormation summarises them."""

    stack_name: str
    account: str
    region: str
    summaries: tuple[Mapping[str, Any], ...]

    def of_type(self, resource_type: str) -> list[str]:
        """The physical ids of the resources of one type."""
        return [str(s["PhysicalResourceId"]) for s in self.summaries if s["ResourceType"] == resource_type]


class Deployment:
    """Deploys apps and cloud assemblies, and knows the stacks that were deployed.

    Args:
        cloud: The embedded cloud.
        images: Receives the staged images.
        account: The account of stacks that name none.
        region: The region of stacks that name none.
        scratch: A directory for cloud assemblies.
        container_engine: Builds images. Default: placeholders are put in their place.
        shifting: Tells whether traffic is being shifted to a new version. The time limit of an update does not run
            meanwhile.
    """

    def __init__(
        self,
        cloud: EmbeddedCloud,
        images: ImageAssets,
        account: str,
        region: str,
        *,
        scratch: Path,
        container_engine: ContainerEngine | None = None,
        shifting: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cloud = cloud
        self._images = images
        self._account = account
        self._region = region
        self._scratch = scratch
        self._container_engine = container_engine
        self._cloudformation = CloudFormation(cloud, account, region, shifting=shifting)
        self._source: DeploymentSource | None = None
        self._assembly: CloudAssembly | None = None
        self._stacks: dict[str, StackArtifact] = {}
        self._bootstrapped_by_cli = False
        #: What the CDK CLI was run with and printed, in order.
        self.cli_runs: list[CliRun] = []

    # -- deploying ----------------------------------------------------------------------------------------------

    def deploy(self, source: DeploymentSource) -> list[DeployedStack]:
        """Synthesise and deploy. See `LocalTwin.deploy`."""
        assembly = self._synthesise(source)
        stacks = assembly.select(source.stacks)
        for stack in stacks:
            self._cloud.recorded.accept(stack.resource_types())
            for image in stack.image_assets:
                asset = ImageAsset(image.tag, image.directory, image.docker_file)
                self._images.add(asset)
                # Now, so that no request has to wait for it.
                self._images.requirements_path(asset)
        if self._container_engine is not None and not source.cdk_cli:
            raise DeploymentError("Images are built by the CDK CLI: a container engine needs cdk_cli.")
        if source.cdk_cli:
            self._deploy_by_cli(source, assembly, stacks)
        else:
            for stack in stacks:
                self._cloudformation.deploy(stack)
        self._source, self._assembly = source, assembly
        self._stacks.update({stack.artifact_id: stack for stack in stacks})
        for stack in stacks:
            self.assert_complete(stack.stack_name)
        return [self._described(stack) for stack in stacks]

    def update(self, *, context: Mapping[str, str], assembly: Path | None) -> list[DeployedStack]:
        """Deploy the last source again. See `LocalTwin.update`."""
        if self._source is None:
            raise DeploymentError("Nothing to update: deploy first.")
        changed = replace(self._source, context={**self._source.context, **context})
        return self.deploy(changed if assembly is None else replace(changed, assembly=assembly))

    def destroy(self) -> None:
        """Delete the deployed stacks. See `LocalTwin.destroy`."""
        if self._source is None or self._assembly is None:
            return
        if self._source.cdk_cli:
            names = [stack.display_name for stack in self._stacks.values()]
            self.cli_runs.append(self._cli(self._source).destroy(self._assembly.directory, names))
        else:
            for stack in reversed(self._stacks.values()):
                self._cloudformation.delete(stack)
        self._stacks.clear()
        self._source = self._assembly = None

    def _synthesise(self, source: DeploymentSource) -> CloudAssembly:
        if source.assembly is not None:
            return CloudAssembly(source.assembly)
        output = Path(tempfile.mkdtemp(prefix="cdk.out-", dir=self._scratch))
        return CdkApp(source.directory, source.app).synthesise(
            output,
            context=source.context,
            account=self._account,
            region=self._region,
            environment=self._cloud.caller_environment(),
        )

    def _deploy_by_cli(self, source: DeploymentSource, assembly: CloudAssembly, stacks: list[StackArtifact]) -> None:
        cli = self._cli(source)
        if not self._bootstrapped_by_cli:
            self.cli_runs.append(cli.bootstrap(assembly.directory))
            self._bootstrapped_by_cli = True
        if self._container_engine is None:
            for stack in stacks:
                self._cloudformation.seed_images(stack)
        self.cli_runs.append(cli.deploy(assembly.directory, [stack.display_name for stack in stacks]))

    def _cli(self, source: DeploymentSource) -> CdkCli:
        docker = None if self._container_engine is None else self._container_engine.write_shim(self._scratch)
        return CdkCli(source.directory.resolve(), self._cloud.credentials(), self._cloud.caller_environment(), docker)

    # -- what is deployed ---------------------------------------------------------------------------------------

    def resources(self) -> Iterator[StackResources]:
        """The resources of each stack."""
        for stack in self._stacks.values():
            account, region = self._cloudformation.environment_of(stack)
            summaries = self._cloudformation.all_resources(stack)
            yield StackResources(stack.stack_name, account, region, tuple(summaries))

    def outputs(self, stack: str | None = None) -> dict[str, str]:
        """The outputs of a stack by its name; of all stacks when none is named."""
        found: dict[str, str] = {}
        for artifact in self._stacks.values():
            if stack in (None, artifact.stack_name):
                found.update(self._described(artifact).outputs)
        return found

    def assert_complete(self, stack: str) -> None:
        """Check that every logical id of a stack's template was deployed. See `LocalTwin.assert_complete`."""
        artifact = next((a for a in self._stacks.values() if a.stack_name == stack), None)
        if artifact is None:
            raise KeyError(stack)
        resources = artifact.template.get("Resources", {})
        wanted = {name for name, resource in resources.items() if "Condition" not in resource}
        deployed = {summary["LogicalResourceId"] for summary in self._cloudformation.resources(artifact)}
        missing = sorted(wanted - deployed)
        if missing:
            raise IncompleteDeployment(f"{stack}: not deployed: {', '.join(missing)}")

    def recorded_only(self) -> list[RecordedOnly]:
        """The resource types of the deployed templates that are recorded and not run."""
        types = [
            str(resource["Type"])
            for stack in self._stacks.values()
            for resource in stack.template.get("Resources", {}).values()
            if not is_run_here(resource)
        ]
        return recorded_only(types, self._cloud.recorded.has_type)

    def _described(self, stack: StackArtifact) -> DeployedStack:
        found = self._cloudformation.describe(stack)
        if found is None:
            raise DeploymentError(f"{stack.stack_name} is not deployed")
        return found
