"""What holds data keeps its logical id: another one would be another, empty, resource for everybody who deployed it.

An id leaves this list only with a major version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdk_onnx_inference import ModelSource
from stacks.async_jobs import AsyncJobs
from stacks.large_model import LargeModel, Source
from stacks.realtime import Realtime
from tests.support import models, synth

STATEFUL = {
    "AWS::DynamoDB::GlobalTable",
    "AWS::EFS::AccessPoint",
    "AWS::EFS::FileSystem",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3Files::AccessPoint",
    "AWS::S3Files::FileSystem",
    "AWS::SQS::Queue",
}
REPLACING = (
    "Encrypted",
    "KmsKeyId",
    "PerformanceMode",
    "AvailabilityZoneName",
    "Bucket",
    "BucketName",
    "Prefix",
    "KeySchema",
    "FifoQueue",
)
"""Properties of these whose change replaces them."""

IDS: dict[str, dict[str, tuple[str, str | None, dict[str, Any]]]] = {
    "efs": {
        "ApiAccessLog713001CC": ("AWS::Logs::LogGroup", "Retain", {}),
        "InferenceLogGroup09EBFCBD": ("AWS::Logs::LogGroup", "Retain", {}),
        "ModelsFileSystem5D35A2D5": (
            "AWS::EFS::FileSystem",
            "Retain",
            {"Encrypted": True, "PerformanceMode": "generalPurpose"},
        ),
        "ModelsPublisherLogGroupBADC8564": ("AWS::Logs::LogGroup", "Retain", {}),
        "ModelsReadAccessPointF69F34F8": ("AWS::EFS::AccessPoint", None, {}),
        "ModelsWriteAccessPoint32032359": ("AWS::EFS::AccessPoint", None, {}),
    },
    "jobs": {
        "ApiAccessLog713001CC": ("AWS::Logs::LogGroup", "Retain", {}),
        "InferenceLogGroup09EBFCBD": ("AWS::Logs::LogGroup", "Retain", {}),
        "JobsDeadLetterQueue8CC426EE": ("AWS::SQS::Queue", "Delete", {}),
        "JobsDeadLettersLogGroup97B06F63": ("AWS::Logs::LogGroup", "Retain", {}),
        "JobsJobApiLogGroupF804A104": ("AWS::Logs::LogGroup", "Retain", {}),
        "JobsParkedQueueE6D1D2B3": ("AWS::SQS::Queue", "Delete", {}),
        "JobsPayloads9E925333": ("AWS::S3::Bucket", "Retain", {}),
        "JobsQueue24944186": ("AWS::SQS::Queue", "Delete", {}),
        "JobsSweeperLogGroupAE47D2A3": ("AWS::Logs::LogGroup", "Retain", {}),
        "JobsTable10C8EDF6": (
            "AWS::DynamoDB::GlobalTable",
            "Retain",
            {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]},
        ),
        "JobsWorkerLogGroup00302A6C": ("AWS::Logs::LogGroup", "Retain", {}),
    },
    "realtime": {
        "ApiAccessLog713001CC": ("AWS::Logs::LogGroup", "Retain", {}),
        "InferenceLogGroup09EBFCBD": ("AWS::Logs::LogGroup", "Retain", {}),
    },
    "s3": {
        "ApiAccessLog713001CC": ("AWS::Logs::LogGroup", "Retain", {}),
        "InferenceLogGroup09EBFCBD": ("AWS::Logs::LogGroup", "Retain", {}),
    },
    "s3-files": {
        "ApiAccessLog713001CC": ("AWS::Logs::LogGroup", "Retain", {}),
        "InferenceLogGroup09EBFCBD": ("AWS::Logs::LogGroup", "Retain", {}),
        "ModelBucketEBB1ADF4": ("AWS::S3::Bucket", "Retain", {}),
        "ModelBucketFileSystemCEE66DD4": (
            "AWS::S3Files::FileSystem",
            None,
            {"Bucket": {"Fn::GetAtt": ["ModelBucketEBB1ADF4", "Arn"]}},
        ),
        "ModelBucketPublisherLogGroup3D5A12FB": ("AWS::Logs::LogGroup", "Retain", {}),
        "ModelBucketReadAccessPoint42E9A093": ("AWS::S3Files::AccessPoint", None, {}),
        "ModelBucketWriteAccessPointAD633F51": ("AWS::S3Files::AccessPoint", None, {}),
    },
}


def made(tmp_path: Path, kind: str) -> synth.Template:
    path = models.save_package(tmp_path / "digits")
    app = synth.new_app(tmp_path / "cdk.out")
    if kind == "realtime":
        return synth.template_of(Realtime(app, "Realtime", model=ModelSource.in_image(path)))
    if kind == "jobs":
        return synth.template_of(AsyncJobs(app, "AsyncJobs", path=path))
    return synth.template_of(LargeModel(app, "LargeModel", path=path, source=Source(kind)))


@pytest.mark.parametrize("kind", IDS)
def test_identity(tmp_path: Path, kind: str) -> None:
    assert {
        name: (
            entry["Type"],
            entry.get("DeletionPolicy"),
            {key: value for key, value in entry.get("Properties", {}).items() if key in REPLACING},
        )
        for name, entry in made(tmp_path, kind)["Resources"].items()
        if entry["Type"] in STATEFUL
    } == IDS[kind]
