"""The table and the bucket of jobs."""

from __future__ import annotations

import json

from aws_cdk import Duration

from cdk_onnx_inference import Removal
from tests.constructs.jobs.conftest import Make, template
from tests.support import synth


def test_the_table(make: Make) -> None:
    made = template(make())
    (resource,) = synth.resources_of(made, "AWS::DynamoDB::GlobalTable")
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    table = resource["Properties"]
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "open-deadline"
    assert index["KeySchema"] == [
        {"AttributeName": "open", "KeyType": "HASH"},
        {"AttributeName": "deadline", "KeyType": "RANGE"},
    ]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    (replica,) = table["Replicas"]
    assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert replica["DeletionProtectionEnabled"] is True
    assert "StreamSpecification" not in table


def test_the_bucket(make: Make) -> None:
    made = template(make(job_timeout=Duration.hours(1), retention=Duration.days(3)))
    (resource,) = synth.resources_of(made, "AWS::S3::Bucket")
    assert resource["DeletionPolicy"] == "Retain"
    bucket = resource["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 5  # 3 days and an hour, in whole days, and one on top
    policy = json.dumps(synth.only(made, "AWS::S3::BucketPolicy"))
    assert "aws:SecureTransport" in policy
    assert "s3:TlsVersion" in policy


def test_destroy(make: Make) -> None:
    made = template(make(removal=Removal.destroy(reason="a test's")))
    (table,) = synth.resources_of(made, "AWS::DynamoDB::GlobalTable")
    (bucket,) = synth.resources_of(made, "AWS::S3::Bucket")
    for resource in (table, bucket):
        assert resource["DeletionPolicy"] == "Delete"
        assert resource["Metadata"]["RemovalReason"] == "a test's"
    assert table["Properties"]["Replicas"][0]["DeletionProtectionEnabled"] is False
    assert len(synth.resources_of(made, "Custom::S3AutoDeleteObjects")) == 1
