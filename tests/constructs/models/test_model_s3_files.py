from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack, Token
from aws_cdk import aws_ec2 as ec2

from cdk_onnx_inference import InferenceFunction, ModelS3Files, ModelSource, Removal, _permissions
from tests.constructs.conftest import Codes
from tests.constructs.models.conftest import functions, logical_id, resource, statements
from tests.support import synth

ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


@pytest.fixture
def template(stack: Stack, package: Path) -> synth.Template:
    """A function with a model on S3 Files."""
    source = ModelSource.on_s3_files(package, file_system=ModelS3Files(stack, "Models"))
    InferenceFunction(stack, "Digits", model=source)
    return synth.template_of(stack)


def test_bucket(template: synth.Template) -> None:
    (bucket,) = synth.resources_of(template, "AWS::S3::Bucket")
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    made = bucket["Properties"]
    assert made["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(made["PublicAccessBlockConfiguration"].values()) == {True}
    assert made["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "AES256"
    }
    (rule,) = made["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    denials = synth.only(template, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in [statement["Condition"] for statement in denials]


def test_mount_targets_are_in_each_subnet_of_the_functions(template: synth.Template) -> None:
    targets = [made["Properties"]["SubnetId"] for made in synth.resources_of(template, "AWS::S3Files::MountTarget")]
    assert len(targets) == 2
    for made in functions(template).values():
        assert made["VpcConfig"]["SubnetIds"] == targets


def test_network_has_nothing_that_costs(template: synth.Template) -> None:
    assert synth.only(template, "AWS::EC2::VPCEndpoint")["VpcEndpointType"] == "Gateway"
    assert synth.resources_of(template, "AWS::EC2::NatGateway") == []


def test_policy_lets_only_the_publisher_s_access_point_write(template: synth.Template) -> None:
    found = synth.only(template, "AWS::S3Files::FileSystemPolicy")["Policy"]["Statement"]
    assert {statement["Effect"] for statement in found} == {"Deny"}
    mount, write, root = found
    assert (mount["Action"], write["Action"], root["Action"]) == (
        "s3files:ClientMount",
        "s3files:ClientWrite",
        "s3files:ClientRootAccess",
    )
    reading, writing = (
        {"Fn::GetAtt": [logical_id(template, f"{name}AccessPoint", "AWS::S3Files::AccessPoint"), "AccessPointArn"]}
        for name in ("Read", "Write")
    )
    assert mount["Condition"] == {"StringNotEquals": {"s3files:AccessPointArn": [reading, writing]}}
    assert write["Condition"]["StringNotEquals"]["s3files:AccessPointArn"] in (writing, [writing])
    assert "Condition" not in root


def test_access_points_have_users_of_their_own(template: synth.Template) -> None:
    users = {}
    for name in ("Read", "Write"):
        made = template["Resources"][logical_id(template, f"{name}AccessPoint", "AWS::S3Files::AccessPoint")]
        assert made["Properties"]["RootDirectory"]["CreationPermissions"] == {
            "OwnerUid": "1001",
            "OwnerGid": "1001",
            "Permissions": "0755",
        }
        users[name] = made["Properties"]["PosixUser"]["Uid"]
    assert users == {"Read": "1002", "Write": "1001"}


def test_the_serving_function_only_reads_and_directly_from_s3(template: synth.Template) -> None:
    mount, denied, objects = statements(template, "DigitsRole", "ReadModels")
    assert (mount["Effect"], mount["Action"]) == ("Allow", "s3files:ClientMount")
    assert (denied["Effect"], denied["Action"]) == ("Deny", list(_permissions.CHANGE_S3_FILES))
    assert (objects["Effect"], objects["Action"]) == ("Allow", list(_permissions.READ_OBJECT_VERSIONS))
    (config,) = functions(template)["onnx_handler.http.handler"]["FileSystemConfigs"]
    assert config["S3FilesConfig"] == {"DirectS3Read": "ENABLED"}
    assert "ReadAccessPoint" in json.dumps(config["Arn"])
    (config,) = functions(template)["onnx_handler.publish.handler"]["FileSystemConfigs"]
    assert "S3FilesConfig" not in config
    assert "WriteAccessPoint" in json.dumps(config["Arn"])


def test_functions_wait_for_the_mount_targets_and_the_policy(template: synth.Template) -> None:
    needed = {
        name
        for name, made in template["Resources"].items()
        if made["Type"] in ("AWS::S3Files::MountTarget", "AWS::S3Files::FileSystemPolicy")
    }
    assert len(needed) == 3
    for made in synth.resources_of(template, "AWS::Lambda::Function"):
        if "ImageConfig" in made["Properties"]:
            assert needed <= set(made["DependsOn"])


def test_s3_files_may_synchronise_this_bucket_and_no_other(template: synth.Template) -> None:
    role = template["Resources"][logical_id(template, "ModelsRole", "AWS::IAM::Role")]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "elasticfilesystem.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    bucket, objects, manage, read = role["Policies"][0]["PolicyDocument"]["Statement"]
    arn = {"Fn::GetAtt": [logical_id(template, "ModelsBucket", "AWS::S3::Bucket"), "Arn"]}
    assert bucket["Resource"] == arn
    assert objects["Resource"] == {"Fn::Join": ["", [arn, "/*"]]}
    assert manage["Condition"] == {"StringEquals": {"events:ManagedBy": "elasticfilesystem.amazonaws.com"}}
    assert read["Action"] == list(_permissions.READ_EVENT_RULES)


def test_the_model_is_published_as_on_efs(template: synth.Template) -> None:
    name, made = resource(template)
    variables = functions(template)["onnx_handler.http.handler"]["Environment"]["Variables"]
    given = made["Properties"]
    assert variables["MODEL_PATH"] == f"{given['MountPath']}/{given['PackageDigest'].removeprefix('sha256:')}"
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert name in version["DependsOn"]


def test_direct_reads_are_part_of_the_version(stack: Stack, package: Path) -> None:
    """The override must be there before the version's hash is made."""
    service = InferenceFunction(
        stack, "Digits", model=ModelSource.on_s3_files(package, file_system=ModelS3Files(stack, "Models"))
    )
    first = stack.resolve(service.version.version)["Fn::GetAtt"][0]
    function: Any = service.function.node.default_child
    function.add_property_override("FileSystemConfigs.0.S3FilesConfig.DirectS3Read", "DISABLED")
    assert stack.resolve(service.version.version)["Fn::GetAtt"][0] != first


def test_two_functions_mount_one_file_system(stack: Stack, package: Path) -> None:
    file_system = ModelS3Files(stack, "Models")
    for name in ("One", "Two"):
        InferenceFunction(stack, name, model=ModelSource.on_s3_files(package, file_system=file_system))
    assert len(synth.resources_of(synth.template_of(stack), "Custom::OnnxModel")) == 2


def test_a_vpc_of_the_user_s_own(stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False)
    ModelS3Files(stack, "Models", vpc=vpc, vpc_subnets=ISOLATED)
    ModelS3Files(stack, "More", vpc=vpc)
    template = synth.template_of(stack)
    assert len(synth.resources_of(template, "AWS::EC2::VPC")) == 1
    assert len(synth.resources_of(template, "AWS::S3Files::MountTarget")) == 4


def test_removal(stack: Stack) -> None:
    ModelS3Files(stack, "Models", removal=Removal.destroy(reason="a test"))
    template = synth.template_of(stack)
    (bucket,) = synth.resources_of(template, "AWS::S3::Bucket")
    assert (bucket["DeletionPolicy"], bucket["Metadata"]["RemovalReason"]) == ("Delete", "a test")
    assert len(synth.resources_of(template, "Custom::S3AutoDeleteObjects")) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mount_path": "/mnt/"}, "mount-path"),
        ({"removal": Removal.destroy(reason="")}, "reason-missing"),
        ({"vpc_subnets": ISOLATED}, "vpc-missing"),
    ],
)
def test_fails_on(codes: Codes, stack: Stack, options: dict[str, Any], code: str) -> None:
    assert codes(lambda: ModelS3Files(stack, "Models", **options)) == [code]
    assert "Resources" not in synth.template_of(stack)


def test_values_that_are_known_at_deployment_pass(stack: Stack) -> None:
    text = Token.as_string({"Ref": "Text"})
    made = ModelS3Files(stack, "Models", mount_path=text, removal=Removal.destroy(reason=text))
    assert made.mount_path == text
