from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_

from cdk_onnx_inference import InferenceFunction, ModelFileSystem, ModelSource, Processing, Removal, _permissions
from tests.constructs.conftest import Codes, warnings
from tests.constructs.models.conftest import functions, logical_id, resource, statements
from tests.support import models, synth

ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


def serve(stack: Stack, package: Path, file_system: ModelFileSystem | None = None, **options: Any) -> synth.Template:
    file_system = file_system or ModelFileSystem(stack, "Models")
    InferenceFunction(stack, "Digits", model=ModelSource.on_efs(package, file_system=file_system), **options)
    return synth.template_of(stack)


def policy(template: synth.Template) -> list[dict[str, Any]]:
    return list(synth.only(template, "AWS::EFS::FileSystem")["FileSystemPolicy"]["Statement"])


def test_file_system(stack: Stack) -> None:
    ModelFileSystem(stack, "Models")
    template = synth.template_of(stack)
    (resource,) = synth.resources_of(template, "AWS::EFS::FileSystem")
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    made = resource["Properties"]
    assert (made["Encrypted"], made["ThroughputMode"], made["PerformanceMode"]) == (True, "elastic", "generalPurpose")
    assert made["BackupPolicy"] == {"Status": "ENABLED"}
    assert len(synth.resources_of(template, "AWS::EFS::MountTarget")) == 2


def test_a_file_system_without_models_has_no_publisher(stack: Stack) -> None:
    file_system = ModelFileSystem(stack, "Models")
    assert functions(synth.template_of(stack)) == {}
    assert file_system.publisher is None


def test_network_has_nothing_that_costs(stack: Stack) -> None:
    ModelFileSystem(stack, "Models")
    template = synth.template_of(stack)
    (endpoint,) = synth.resources_of(template, "AWS::EC2::VPCEndpoint")
    assert endpoint["Properties"]["VpcEndpointType"] == "Gateway"
    assert endpoint["Properties"]["ServiceName"]["Fn::Join"][1][-1] == ".s3"
    assert len(endpoint["Properties"]["RouteTableIds"]) == 2
    for kind in ("NatGateway", "InternetGateway", "EIP", "Route", "VPCGatewayAttachment"):
        assert synth.resources_of(template, f"AWS::EC2::{kind}") == []
    subnets = synth.resources_of(template, "AWS::EC2::Subnet")
    assert [made["Properties"]["MapPublicIpOnLaunch"] for made in subnets] == [False, False]
    assert len(synth.resources_of(template, "Custom::VpcRestrictDefaultSG")) == 1


@pytest.mark.parametrize("flags", [{}, synth.RECOMMENDED_FLAGS], ids=["none", "all"])
def test_policy_allows_nobody_anything_whatever_the_flags(tmp_path: Path, flags: dict[str, Any]) -> None:
    stack = Stack(synth.new_app(tmp_path, flags), "Shop")
    ModelFileSystem(stack, "Models")
    found = policy(synth.template_of(stack))
    assert {statement["Effect"] for statement in found} == {"Deny"}
    assert {json.dumps(statement["Principal"]) for statement in found} == {'{"AWS": "*"}'}
    tls, access_points, root = found
    assert tls["Action"] == access_points["Action"] == list(_permissions.USE_EFS)
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (arn,) = access_points["Condition"]["StringNotLike"].values()
    assert arn["Fn::Join"][1][-1] == ":access-point/*"
    assert root["Action"] == "elasticfilesystem:ClientRootAccess"
    assert "Condition" not in root


def test_access_points_have_users_of_their_own(stack: Stack) -> None:
    ModelFileSystem(stack, "Models")
    template = synth.template_of(stack)
    users = {}
    for name in ("Read", "Write"):
        made = template["Resources"][logical_id(template, f"{name}AccessPoint", "AWS::EFS::AccessPoint")]["Properties"]
        assert made["RootDirectory"] == {
            "Path": "/onnx-models",
            "CreationInfo": {"OwnerUid": "1001", "OwnerGid": "1001", "Permissions": "0755"},
        }
        users[name] = made["PosixUser"]
    assert users == {"Read": {"Uid": "1002", "Gid": "1002"}, "Write": {"Uid": "1001", "Gid": "1001"}}


def test_the_serving_function_may_only_read(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    file_system = {"Fn::GetAtt": [logical_id(template, "FileSystem", "AWS::EFS::FileSystem"), "Arn"]}
    mount, denied = statements(template, "DigitsRole", "ReadModels")
    assert (mount["Effect"], mount["Action"], mount["Resource"]) == (
        "Allow",
        "elasticfilesystem:ClientMount",
        file_system,
    )
    assert "ReadAccessPoint" in json.dumps(mount["Condition"]["StringEquals"]["elasticfilesystem:AccessPointArn"])
    assert denied == {"Effect": "Deny", "Action": list(_permissions.CHANGE_EFS), "Resource": file_system}
    allowed = json.dumps([made for made in template["Resources"].values() if made["Type"].startswith("AWS::IAM")])
    assert allowed.count("ClientWrite") == 2  # the denial, and the publisher
    (config,) = functions(template)["onnx_handler.http.handler"]["FileSystemConfigs"]
    assert config["LocalMountPath"] == "/mnt/models"
    assert "ReadAccessPoint" in json.dumps(config["Arn"])


def test_the_publisher_may_write(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    (write,) = statements(template, "PublisherRole", "WriteModels")
    assert (write["Effect"], write["Action"]) == ("Allow", list(_permissions.PUBLISH_EFS))
    assert "WriteAccessPoint" in json.dumps(write["Condition"])
    made = functions(template)["onnx_handler.publish.handler"]
    assert (made["Timeout"], made["MemorySize"]) == (900, 1769)
    assert "Environment" not in made
    assert "WriteAccessPoint" in json.dumps(made["FileSystemConfigs"])
    assert len(made["VpcConfig"]["SubnetIds"]) == 2


def test_both_functions_have_one_image_without_the_model(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    serving, publishing = functions(template).values()
    assert serving["Code"] == publishing["Code"]
    app = stack.node.root
    assert isinstance(app, App)
    image = json.dumps(serving["Code"]).rpartition(":")[2][:64]
    staged = Path(app.outdir) / f"asset.{image}"
    assert [path.name for path in (staged / "model").iterdir()] == ["README"]
    assert list(staged.rglob("*.onnx")) == []


def test_the_publisher_has_the_architecture_of_the_function(stack: Stack, package: Path) -> None:
    template = serve(stack, package, architecture=lambda_.Architecture.ARM_64)
    serving, publishing = functions(template).values()
    assert serving["Architectures"] == publishing["Architectures"] == ["arm64"]
    assert serving["Code"] == publishing["Code"]


def test_security_groups(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    clients = logical_id(template, "ModelsClientSecurityGroup", "AWS::EC2::SecurityGroup")
    mount_targets = logical_id(template, "ModelsSecurityGroup", "AWS::EC2::SecurityGroup")
    (ingress,) = (made["Properties"] for made in synth.resources_of(template, "AWS::EC2::SecurityGroupIngress"))
    assert ingress["GroupId"] == {"Fn::GetAtt": [mount_targets, "GroupId"]}
    assert ingress["SourceSecurityGroupId"] == {"Fn::GetAtt": [clients, "GroupId"]}
    assert (ingress["IpProtocol"], ingress["FromPort"], ingress["ToPort"]) == ("tcp", 2049, 2049)
    for made in functions(template).values():
        assert {"Fn::GetAtt": [clients, "GroupId"]} in made["VpcConfig"]["SecurityGroupIds"]
    # Without a rule within itself, a group would let everything out.
    for name in (clients, mount_targets, logical_id(template, "PublisherSecurityGroup", "AWS::EC2::SecurityGroup")):
        (egress,) = template["Resources"][name]["Properties"]["SecurityGroupEgress"]
        assert egress["IpProtocol"] != "-1"


def test_security_groups_of_the_user_s_own_are_kept(stack: Stack, package: Path) -> None:
    file_system = ModelFileSystem(stack, "Models")
    own = ec2.SecurityGroup(stack, "Own", vpc=file_system.vpc)
    template = serve(stack, package, file_system, security_groups=[own])
    found = functions(template)["onnx_handler.http.handler"]["VpcConfig"]["SecurityGroupIds"]
    assert found == [stack.resolve(group.security_group_id) for group in (own, file_system.client_security_group)]


def test_the_model_is_published_before_the_version(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    name, made = resource(template)
    given = made["Properties"]
    publisher = logical_id(template, "ModelsPublisherFunction", "AWS::Lambda::Function")
    assert given["ServiceToken"] == {"Fn::GetAtt": [publisher, "Arn"]}
    assert (given["Keep"], given["ServiceTimeout"]) == ("3", "960")
    variables = functions(template)["onnx_handler.http.handler"]["Environment"]["Variables"]
    assert variables["MODEL_PATH"] == f"{given['MountPath']}/{given['PackageDigest'].removeprefix('sha256:')}"
    assert given["MountPath"].startswith("/mnt/models/Shop-Digits-")
    parts = json.loads("".join(part if isinstance(part, str) else "B" for part in given["Parts"]["Fn::Join"][1]))
    assert [part["path"] for part in parts] == ["model.onnx", "model.onnx.data", "manifest.json"]
    assert all(part["uri"].startswith("s3://B/") for part in parts)
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert name in version["DependsOn"]


def test_the_publisher_can_read_and_reach_what_it_needs_first(stack: Stack, package: Path) -> None:
    template = serve(stack, package)
    _, made = resource(template)
    read = logical_id(template, "ReadParts", "AWS::IAM::Policy")
    endpoint = logical_id(template, "ModelsVpcS3", "AWS::EC2::VPCEndpoint")
    assert {read, endpoint} <= set(made["DependsOn"])
    (statement,) = template["Resources"][read]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
    keys = [json.dumps(arn).rpartition("/")[2] for arn in statement["Resource"]]
    assert len(keys) == 3
    parts = json.dumps(made["Properties"]["Parts"])
    assert all(key.partition('"')[0] in parts for key in keys)
    publisher = template["Resources"][logical_id(template, "PublisherFunction", "AWS::Lambda::Function")]
    needed = {name for name, it in template["Resources"].items() if it["Type"] == "AWS::EFS::MountTarget"}
    assert needed <= set(publisher["DependsOn"])


def test_parts_are_uploaded_as_they_are_under_their_own_hashes(stack: Stack, package: Path) -> None:
    serve(stack, package)
    app = stack.node.root
    assert isinstance(app, App)
    assets = json.loads((Path(app.outdir) / "Shop.assets.json").read_text())["files"]
    parts = [
        entry for entry in assets.values() if "DigitsModel" in entry["displayName"] or "Digits/Model" in str(entry)
    ]
    assert len(parts) == 3
    for entry in parts:
        assert entry["source"]["packaging"] == "file"
        staged = Path(app.outdir) / entry["source"]["path"]
        assert staged.read_bytes() in [path.read_bytes() for path in package.iterdir()]


def difference(one: Any, two: Any) -> set[str]:
    """Logical ids of the resources in which two templates differ, versions aside."""
    first, second = one["Resources"], two["Resources"]
    return {
        name
        for name in first.keys() | second.keys()
        if first.get(name) != second.get(name) and "CurrentVersion" not in name
    }


def other_model() -> Any:
    made = models.matmul()
    made.graph.initializer[0].raw_data = bytes(48)
    return made


def templates(tmp_path: Path, *variants: Any) -> Iterator[synth.Template]:
    for number, made in enumerate(variants):
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        yield serve(stack, models.save_package(tmp_path / "digits", made))


def test_a_new_model_changes_its_digest_its_publication_and_nothing_else(tmp_path: Path) -> None:
    before, after = templates(tmp_path, None, other_model())
    changed = {name.rstrip("0123456789ABCDEF") for name in difference(before, after)}
    assert changed == {"DigitsAlias", "DigitsFunction", "DigitsPublishModel", "DigitsPublishModelReadParts"}
    ids = [next(name for name in template["Resources"] if "CurrentVersion" in name) for template in (before, after)]
    assert ids[0] != ids[1]
    serving = [functions(template)["onnx_handler.http.handler"] for template in (before, after)]
    for made in serving:
        for name in ("MODEL_DIGEST", "MODEL_PATH"):
            made["Environment"]["Variables"].pop(name)
    assert serving[0] == serving[1]
    properties = [resource(template)[1]["Properties"] for template in (before, after)]
    assert {name for name in properties[0] if properties[0][name] != properties[1][name]} == {"PackageDigest", "Parts"}


def test_keep_versions_changes_the_publication_alone(tmp_path: Path, package: Path) -> None:
    made = []
    for keep in (3, 5):
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{keep}"), "Shop")
        source = ModelSource.on_efs(package, file_system=ModelFileSystem(stack, "Models"), keep_versions=keep)
        InferenceFunction(stack, "Digits", model=source)
        made.append(synth.template_of(stack))
    assert len(difference(*made)) == 1
    assert resource(made[1])[1]["Properties"]["Keep"] == "5"


def test_processing_is_in_the_serving_image_alone(stack: Stack, package: Path, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    template = serve(stack, package, processing=Processing(tmp_path / "words.py"))
    serving, publishing = functions(template).values()
    assert serving["Code"] != publishing["Code"]


def test_two_functions_share_the_publisher_and_not_the_directory(stack: Stack, package: Path) -> None:
    file_system = ModelFileSystem(stack, "Models")
    for name in ("One", "Two"):
        InferenceFunction(stack, name, model=ModelSource.on_efs(package, file_system=file_system))
    template = synth.template_of(stack)
    assert len(synth.resources_of(template, "AWS::EC2::SecurityGroupIngress")) == 1
    published = [made["Properties"] for made in synth.resources_of(template, "Custom::OnnxModel")]
    assert len({json.dumps(made["ServiceToken"]) for made in published}) == 1
    assert len({made["MountPath"] for made in published}) == 2
    assert file_system.publisher is not None


def test_the_function_may_be_in_another_stack(tmp_path: Path, package: Path) -> None:
    app = synth.new_app(tmp_path / "cdk.out")
    file_system = ModelFileSystem(Stack(app, "Storage"), "Models")
    stack = Stack(app, "Serving")
    template = serve(stack, package, file_system)
    assert synth.resources_of(template, "AWS::EFS::FileSystem") == []
    assert len(synth.resources_of(template, "Custom::OnnxModel")) == 1


def test_an_existing_file_system(stack: Stack, package: Path) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False)
    existing = efs.FileSystem.from_file_system_attributes(
        stack,
        "Existing",
        file_system_id="fs-1",
        security_group=ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1"),
    )
    file_system = ModelFileSystem.from_file_system(
        stack, "Models", file_system=existing, vpc=vpc, vpc_subnets=ISOLATED, mount_path="/mnt/shared"
    )
    template = serve(stack, package, file_system)
    assert synth.resources_of(template, "AWS::EFS::FileSystem") == []
    assert {made["Properties"]["FileSystemId"] for made in synth.resources_of(template, "AWS::EFS::AccessPoint")} == {
        "fs-1"
    }
    (ingress,) = (made["Properties"] for made in synth.resources_of(template, "AWS::EC2::SecurityGroupIngress"))
    assert ingress["GroupId"] == "sg-1"
    variables = functions(template)["onnx_handler.http.handler"]["Environment"]["Variables"]
    assert variables["MODEL_PATH"].startswith("/mnt/shared/Shop-Digits-")
    assert isinstance(file_system, ModelFileSystem)
    mount, denied = statements(template, "DigitsRole", "ReadModels")
    assert (mount["Effect"], denied["Effect"]) == ("Allow", "Deny")


def test_a_vpc_of_the_user_s_own(stack: Stack, package: Path) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False)
    file_system = ModelFileSystem(stack, "Models", vpc=vpc, vpc_subnets=ISOLATED)
    template = serve(stack, package, file_system, vpc=vpc, vpc_subnets=ISOLATED)
    assert len(synth.resources_of(template, "AWS::EC2::VPC")) == 1
    assert synth.resources_of(template, "AWS::EC2::VPCEndpoint") == []


def warns(stack: Stack) -> bool:
    return any("cdk-onnx-inference:publisher-without-s3" in warning for warning in warnings(stack))


@pytest.mark.parametrize(
    ("subnets", "endpoint", "warned"),
    [(ISOLATED, False, True), (ISOLATED, True, False), (ec2.SubnetSelection(one_per_az=True), False, False)],
)
def test_warns_of_a_vpc_without_a_way_to_s3(
    stack: Stack, package: Path, subnets: ec2.SubnetSelection, endpoint: bool, warned: bool
) -> None:
    """Without it the publisher could not even answer CloudFormation, which would wait."""
    nat_gateways = 0 if subnets is ISOLATED else 1
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=nat_gateways, restrict_default_security_group=False)
    file_system = ModelFileSystem(stack, "Models", vpc=vpc, vpc_subnets=subnets)
    if endpoint:
        vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
    serve(stack, package, file_system)
    assert warns(stack) is warned


def test_the_network_that_is_made_reaches_s3(stack: Stack, package: Path) -> None:
    serve(stack, package)
    assert not warns(stack)


def test_options(stack: Stack) -> None:
    ModelFileSystem(
        stack,
        "Models",
        encryption_key=kms.Key(stack, "Key"),
        automatic_backups=False,
        removal=Removal.destroy(reason="a test"),
    )
    (made,) = synth.resources_of(synth.template_of(stack), "AWS::EFS::FileSystem")
    assert (made["DeletionPolicy"], made["Metadata"]["RemovalReason"]) == ("Delete", "a test")
    assert "BackupPolicy" not in made["Properties"]
    assert "KmsKeyId" in made["Properties"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mount_path": "/opt/models"}, "mount-path"),
        ({"mount_path": "/mnt/a/b"}, "mount-path"),
        ({"mount_path": "/mnt/.."}, "mount-path"),
        ({"mount_path": "/mnt/" + "a" * 160}, "mount-path"),
        ({"removal": Removal.destroy(reason=" ")}, "reason-missing"),
        ({"vpc_subnets": ISOLATED}, "vpc-missing"),
    ],
)
def test_fails_on(codes: Codes, stack: Stack, options: dict[str, Any], code: str) -> None:
    assert codes(lambda: ModelFileSystem(stack, "Models", **options)) == [code]
    assert "Resources" not in synth.template_of(stack)


def test_an_existing_file_system_fails_on_its_mount_path(codes: Codes, stack: Stack) -> None:
    vpc = ec2.Vpc.from_vpc_attributes(stack, "Vpc", vpc_id="vpc-1", availability_zones=["a"])
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    existing = efs.FileSystem.from_file_system_attributes(stack, "E", file_system_id="fs-1", security_group=group)
    assert codes(
        lambda: ModelFileSystem.from_file_system(stack, "M", file_system=existing, vpc=vpc, mount_path="mnt")
    ) == ["mount-path"]


@pytest.mark.parametrize("keep", [1, 0, 101, 2.5])
def test_fails_on_keep_versions(codes: Codes, stack: Stack, package: Path, keep: int) -> None:
    file_system = ModelFileSystem(stack, "Models")
    source = ModelSource.on_efs(package, file_system=file_system, keep_versions=keep)
    assert codes(lambda: InferenceFunction(stack, "Digits", model=source)) == ["keep-versions-range"]


def test_fails_on_another_vpc(codes: Codes, stack: Stack, package: Path) -> None:
    def vpc(number: int) -> ec2.IVpc:
        return ec2.Vpc.from_vpc_attributes(
            stack,
            f"Vpc{number}",
            vpc_id=f"vpc-{number}",
            availability_zones=["a"],
            private_subnet_ids=["s"],
            private_subnet_route_table_ids=["r"],
        )

    file_system = ModelFileSystem(stack, "Models", vpc=vpc(1))
    assert codes(lambda: serve(stack, package, file_system, vpc=vpc(2))) == ["vpc-of-file-system"]


def test_fails_on_another_vpc_of_the_same_app(codes: Codes, stack: Stack, package: Path) -> None:
    """Their ids are known only at deployment, and yet they are two."""
    one, two = (ec2.Vpc(stack, f"Vpc{n}", nat_gateways=0, restrict_default_security_group=False) for n in range(2))
    file_system = ModelFileSystem(stack, "Models", vpc=one, vpc_subnets=ISOLATED)
    assert codes(lambda: serve(stack, package, file_system, vpc=two, vpc_subnets=ISOLATED)) == ["vpc-of-file-system"]


def test_values_that_are_known_at_deployment_pass(stack: Stack, package: Path) -> None:
    number, text = Token.as_number({"Ref": "Number"}), Token.as_string({"Ref": "Text"})
    file_system = ModelFileSystem(stack, "Models", mount_path=text, removal=Removal.destroy(reason=text))
    source = ModelSource.on_efs(package, file_system=file_system, keep_versions=number, name=text, version=text)
    InferenceFunction(stack, "Digits", model=source, timeout=Duration.seconds(10))
    template = synth.template_of(stack)
    made = functions(template)["onnx_handler.http.handler"]
    assert made["FileSystemConfigs"][0]["LocalMountPath"] == {"Ref": "Text"}
    assert made["Environment"]["Variables"]["MODEL_PATH"]["Fn::Join"][1][0] == {"Ref": "Text"}
    assert resource(template)[1]["Properties"]["Keep"] in ({"Ref": "Number"}, {"Fn::Join": ["", [{"Ref": "Number"}]]})
