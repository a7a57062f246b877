"""What resources cost while nobody uses them, which a reviewer cannot see in a template.

Prices are those of us-east-1 in dollars, for a month of 730 hours, as published in September 2026. Other regions differ
by up to a half. What is billed by use is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .normalise import Template

_HOURS: Final = 730
_PROVISIONED_GB_SECOND: Final = {"x86_64": 0.0000041667, "arm64": 0.0000033334}
_FIXED: Final = {
    "AWS::CloudWatch::Alarm": 0.10,
    "AWS::CloudWatch::Dashboard": 3.00,
    "AWS::EC2::EIP": 0.005 * _HOURS,
    "AWS::EC2::NatGateway": 0.045 * _HOURS,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": 0.0225 * _HOURS,
    "AWS::KMS::Key": 1.00,
    "AWS::SecretsManager::Secret": 0.40,
}
_ENDPOINT: Final = 0.01 * _HOURS  # of an interface endpoint, for each availability zone


def monthly_cost(logical_id: str, template: Template) -> float:
    """Fixed costs of a resource in dollars a month. 0 if it costs nothing, or is billed by use.

    Args:
        logical_id: The resource's logical id.
        template: The template with the resource.
    """
    resource = template["Resources"][logical_id]
    properties: Mapping[str, Any] = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::EC2::VPCEndpoint" if properties.get("VpcEndpointType") == "Interface":
            subnets = properties.get("SubnetIds")
            return _ENDPOINT * (len(subnets) if isinstance(subnets, list) else 1)
        case "AWS::Lambda::Alias" | "AWS::Lambda::Version":
            return _provisioned(properties, template)
        case name:
            return _FIXED.get(name, 0.0)


def _provisioned(properties: Mapping[str, Any], template: Template) -> float:
    count = properties.get("ProvisionedConcurrencyConfig", {}).get("ProvisionedConcurrentExecutions", 0)
    reference = properties.get("FunctionName")
    name = reference.get("Ref") if isinstance(reference, dict) else None
    function = template["Resources"].get(name, {}).get("Properties", {})
    memory, architecture = function.get("MemorySize", 128), function.get("Architectures", ["x86_64"])[0]
    if not isinstance(count, int) or not isinstance(memory, int):
        return 0.0  # known only at deployment
    return count * memory / 1024 * 3600 * _HOURS * _PROVISIONED_GB_SECOND.get(architecture, 0.0)
