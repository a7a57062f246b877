"""Applies a `Removal` to a resource."""

from __future__ import annotations

from aws_cdk import CfnResource, RemovalPolicy
from constructs import Construct

from .removal import AnyRemoval, Destroy


def removal_policy(removal: AnyRemoval) -> RemovalPolicy:
    """CDK's policy for it."""
    return RemovalPolicy.DESTROY if isinstance(removal, Destroy) else RemovalPolicy.RETAIN


def keep_reason(storage: Construct, removal: AnyRemoval) -> None:
    """Writes the reason to destroy the storage into the metadata of its resource."""
    resource = storage.node.default_child
    if isinstance(removal, Destroy) and isinstance(resource, CfnResource):
        resource.add_metadata("RemovalReason", removal.reason)
