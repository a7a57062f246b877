"""Resource types that hold data, and plain names of resource types."""

from __future__ import annotations

from typing import Final

STATEFUL: Final = {
    "AWS::Backup::BackupVault": "backup vault",
    "AWS::Cognito::UserPool": "user pool",
    "AWS::DocDB::DBCluster": "database cluster",
    "AWS::DynamoDB::GlobalTable": "table",
    "AWS::DynamoDB::Table": "table",
    "AWS::EC2::Volume": "volume",
    "AWS::ECR::Repository": "image repository",
    "AWS::EFS::AccessPoint": "access point",
    "AWS::EFS::FileSystem": "file system",
    "AWS::ElastiCache::ReplicationGroup": "cache",
    "AWS::ElastiCache::ServerlessCache": "cache",
    "AWS::Events::Archive": "event archive",
    "AWS::FSx::FileSystem": "file system",
    "AWS::KMS::Key": "key",
    "AWS::Kinesis::Stream": "stream",
    "AWS::Logs::LogGroup": "log group",
    "AWS::Neptune::DBCluster": "database cluster",
    "AWS::OpenSearchService::Domain": "search domain",
    "AWS::RDS::DBCluster": "database cluster",
    "AWS::RDS::DBInstance": "database",
    "AWS::S3::Bucket": "bucket",
    "AWS::S3Files::AccessPoint": "access point",
    "AWS::S3Files::FileSystem": "file system",
    "AWS::S3Vectors::VectorBucket": "vector bucket",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
    "AWS::SecretsManager::Secret": "secret",
}
"""Topics and queues are among them: their subscribers and messages are lost with them."""

_NOUNS: Final = STATEFUL | {
    "AWS::ApiGateway::Deployment": "deployment",
    "AWS::ApiGateway::RestApi": "REST API",
    "AWS::ApiGatewayV2::Api": "HTTP API",
    "AWS::ApiGatewayV2::Route": "route",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::EC2::NatGateway": "NAT gateway",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::EC2::VPC": "VPC",
    "AWS::EC2::VPCEndpoint": "VPC endpoint",
    "AWS::IAM::Policy": "policy",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::Alias": "alias",
    "AWS::Lambda::EventSourceMapping": "event source mapping",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::Version": "version",
    "AWS::Scheduler::Schedule": "schedule",
}


def noun(resource_type: str) -> str:
    """A plain name for a resource of this type."""
    return _NOUNS.get(resource_type, resource_type)
