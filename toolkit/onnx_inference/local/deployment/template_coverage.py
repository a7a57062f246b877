"""Which resources of a template the twin only records, and why."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

#: Types, or beginnings of types, of resources that exist after a deployment but do nothing here.
_RECORDED = {
    "AWS::ApiGateway::Account": "API Gateway writes no access logs",
    "AWS::ApplicationAutoScaling::": "only provisioned concurrency is scaled: on schedules and by its utilisation",
    "AWS::CloudWatch::": "alarms are looked at only while traffic is shifted; `--dashboard` draws dashboards",
    "AWS::CodeDeploy::": "a stand-in runs the hooks and shifts traffic",
    "Custom::VpcRestrictDefaultSG": "no network is made",
    "AWS::EC2::": "no network is made: functions reach what this machine reaches",
    "AWS::EFS::FileSystemPolicy": "policies are not enforced",
    "AWS::EFS::MountTarget": "no network is made: access points are directories here",
    "AWS::IAM::": "policies are not enforced",
    "AWS::Lambda::Permission": "resource policies are not enforced",
    "AWS::Lambda::LayerVersion": "layers are not put into image functions",
    "AWS::Logs::": "log groups exist; the twin prints what functions log",
    "AWS::S3Files::FileSystem": "a directory, whose files do not reach the bucket",
    "AWS::S3Files::": "no network is made, policies are not enforced: access points are directories here",
    "AWS::Synthetics::": "canaries do not run",
    "AWS::WAFv2::": "web ACLs are not applied",
    "AWS::XRay::": "nothing is traced",
}
_IGNORED = ("AWS::CDK::Metadata",)


@dataclass(frozen=True)
class RecordedOnly:
    """A resource type of the deployed templates that is recorded only."""

    resource_type: str
    count: int
    reason: str


def recorded_only(types: Iterable[str], unknown_to_cloud: Callable[[str], bool]) -> list[RecordedOnly]:
    """The resource types that the twin does not run.

    Args:
        types: The type of each resource, once per resource.
        unknown_to_cloud: Tells whether the embedded cloud itself only records the type.
    """
    found = []
    for name, count in sorted(Counter(types).items()):
        if name in _IGNORED:
            continue
        reason = next((text for beginning, text in _RECORDED.items() if name.startswith(beginning)), None)
        if reason is None and unknown_to_cloud(name):
            reason = "unknown to the embedded cloud"
        if reason is not None:
            found.append(RecordedOnly(name, count, reason))
    return found
