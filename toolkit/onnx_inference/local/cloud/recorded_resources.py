"""Resources of types that MiniStack does not know: recorded, so that a template deploys unchanged, and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

from onnx_inference.local.cloud.patches import Handlers, Patches
from onnx_inference.local.cloud.records import RecordedResource

#: Types that MiniStack does not know, and that the twin or the library's templates need.
RECORDED_ONLY_TYPES = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentConfig",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::Logs::QueryDefinition",
    "AWS::Synthetics::Canary",
    # CDK's own: it empties a VPC's default security group by a function that needs the SDK of Lambda's Node runtime.
    "Custom::VpcRestrictDefaultSG",
)


class RecordedResources:
    """The deployed resources that the embedded cloud records and does not run.

    Args:
        patches: Adds the types to MiniStack.
        account: The account of the resources' ARNs.
        region: The region of the resources' ARNs.

    Attributes:
        by_arn: The resources. A deleted one leaves.
    """

    def __init__(self, patches: Patches, account: str, region: str) -> None:
        self.by_arn: dict[str, RecordedResource] = {}
        self._patches = patches
        self._account = account
        self._region = region
        self._types: set[str] = set()
        self._add(RECORDED_ONLY_TYPES)

    def of_type(self, resource_type: str) -> list[RecordedResource]:
        """The deployed resources of one type."""
        return [entry for entry in list(self.by_arn.values()) if entry.resource_type == resource_type]

    def unknown_types(self, types: Iterable[str]) -> list[str]:
        """Those of the types that the cloud would refuse."""
        handlers = self._patches.handlers
        return sorted({name for name in types if name not in handlers and not name.startswith("Custom::")})

    def accept(self, types: Iterable[str]) -> None:
        """Record resources of these types from now on, if the cloud does not know them."""
        self._add(self.unknown_types(types))

    def has_type(self, resource_type: str) -> bool:
        """Whether resources of this type are recorded and nothing else."""
        return resource_type in self._types

    def _add(self, types: Iterable[str]) -> None:
        for name in types:
            self._patches.handle(name, self._handlers(name))
            self._types.add(name)

    def _handlers(self, resource_type: str) -> Handlers:
        """Handlers that give a resource a physical id and an ARN, with nothing behind them."""
        account, region = self._account, self._region
        _, service, kind = resource_type.split("::") if resource_type.count("::") == 2 else ("", "custom", "")

        def arn_of(physical_id: str) -> str:
            return f"arn:aws:{service.lower()}:{region}:{account}:{physical_id}"

        def record(physical_id: str, properties: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
            arn = arn_of(physical_id)
            self.by_arn[arn] = RecordedResource(resource_type, physical_id, account, region, properties)
            # Some types have their kind in the names of their attributes (AccessPointArn), others do not (Arn).
            return physical_id, {"Arn": arn, "Id": physical_id, f"{kind}Arn": arn, f"{kind}Id": physical_id}

        def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
            return record(f"{stack_name}-{logical_id}", properties)

        def update(physical_id: str, _old: object, new: Mapping[str, Any], *_: object) -> tuple[str, dict[str, str]]:
            return record(physical_id, new)

        def delete(physical_id: str, _properties: Mapping[str, Any]) -> None:
            self.by_arn.pop(arn_of(physical_id), None)

        return {"create": create, "update": update, "delete": delete}
