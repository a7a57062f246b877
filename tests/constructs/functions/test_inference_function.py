from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Annotations, Duration, Size, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from cdk_onnx_inference import InferenceFunction, ModelSource, Processing, _environment, _permissions
from cdk_onnx_inference.functions import inference_function
from tests.constructs.conftest import Codes, warnings
from tests.support import models, synth

PREPROCESS = "def preprocess(request):\n    return request.inputs\n"
Make = Callable[..., synth.Template]


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    """The template of a stack with one function."""

    def template(**options: Any) -> synth.Template:
        InferenceFunction(stack, "Digits", **{"model": model, **options})
        return synth.template_of(stack)

    return template


def properties(template: synth.Template) -> dict[str, Any]:
    return synth.only(template, "AWS::Lambda::Function")


def version_id(template: synth.Template) -> str:
    (found,) = (name for name, made in template["Resources"].items() if made["Type"] == "AWS::Lambda::Version")
    return str(found)


def statements(template: synth.Template) -> list[dict[str, Any]]:
    documents = [policy["PolicyDocument"] for policy in synth.only(template, "AWS::IAM::Role")["Policies"]]
    documents += [made["Properties"]["PolicyDocument"] for made in synth.resources_of(template, "AWS::IAM::Policy")]
    return [statement for document in documents for statement in document["Statement"]]


def test_defaults(make: Make) -> None:
    made = properties(make())
    assert (made["MemorySize"], made["Timeout"], made["Architectures"]) == (1769, 30, ["x86_64"])
    assert made["TracingConfig"] == {"Mode": "Active"}
    assert made["LoggingConfig"]["LogFormat"] == "JSON"
    assert made["ImageConfig"] == {"Command": ["onnx_handler.http.handler"]}
    assert made["Description"] == "ONNX model digits, version 1"
    assert not {"VpcConfig", "ReservedConcurrentExecutions", "EphemeralStorage", "FunctionName"} & made.keys()


def test_all_values(make: Make, stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False)
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    log_group = logs.LogGroup(stack, "Logs", retention=logs.RetentionDays.ONE_WEEK)
    template = make(
        memory_size=10240,
        timeout=Duration.minutes(15),
        architecture=lambda_.Architecture.ARM_64,
        ephemeral_storage_size=Size.gibibytes(10),
        reserved_concurrent_executions=0,
        environment={"LOG_LEVEL": "DEBUG"},
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        security_groups=[group],
        log_group=log_group,
        metrics_namespace="Shop/Models",
        description="Reads digits",
    )
    made = properties(template)
    assert (made["MemorySize"], made["Timeout"], made["Architectures"]) == (10240, 900, ["arm64"])
    assert made["EphemeralStorage"] == {"Size": 10240}
    assert made["ReservedConcurrentExecutions"] == 0
    assert made["Description"] == "Reads digits"
    assert made["Environment"]["Variables"]["LOG_LEVEL"] == "DEBUG"
    assert made["Environment"]["Variables"]["METRICS_NAMESPACE"] == "Shop/Models"
    assert len(made["VpcConfig"]["SubnetIds"]) == 2
    assert made["VpcConfig"]["SecurityGroupIds"] == [stack.resolve(group.security_group_id)]
    assert made["LoggingConfig"]["LogGroup"] == stack.resolve(log_group.log_group_name)
    assert len(synth.resources_of(template, "AWS::Logs::LogGroup")) == 1


def test_environment(make: Make, model_path: Path) -> None:
    source = ModelSource.in_image(model_path, version="3")
    variables = properties(make(model=source))["Environment"]["Variables"]
    digest = variables.pop("MODEL_DIGEST")
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64
    assert variables == {
        "MODEL_PATH": "model",
        "MODEL_NAME": "digits",
        "MODEL_VERSION": "3",
        "METRICS_NAMESPACE": "OnnxInference",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def test_environment_with_processing(make: Make, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(PREPROCESS)
    variables = properties(make(processing=Processing(tmp_path / "words.py")))["Environment"]["Variables"]
    assert variables["PROCESSING_PATH"] == "processing/words.py"
    elsewhere_or_several = {_environment.MODEL_OBJECTS, _environment.MODEL_CACHE_SIZE, _environment.MODELS}
    assert variables.keys() == _environment.NAMES - _environment.OF_JOBS - _environment.OF_HOOKS - elsewhere_or_several


def test_log_group_is_kept_and_its_events_expire(make: Make) -> None:
    (group,) = synth.resources_of(make(), "AWS::Logs::LogGroup")
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == "Retain"
    assert group["Properties"] == {"RetentionInDays": 30}


def test_role_has_least_privilege(make: Make, stack: Stack) -> None:
    template = make()
    assert "ManagedPolicyArns" not in synth.only(template, "AWS::IAM::Role")
    write_logs, xray = statements(template)
    (log_group,) = (name for name, made in template["Resources"].items() if made["Type"] == "AWS::Logs::LogGroup")
    assert write_logs == {
        "Action": list(_permissions.WRITE_LOGS),
        "Effect": "Allow",
        "Resource": {"Fn::GetAtt": [log_group, "Arn"]},
    }
    assert sorted(xray["Action"]) == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]


def test_role_may_manage_network_interfaces_in_a_vpc_only(make: Make, stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, restrict_default_security_group=False)
    subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    template = make(vpc=vpc, vpc_subnets=subnets)
    (document,) = (
        policy["PolicyDocument"]
        for policy in next(
            role["Properties"]["Policies"]
            for role in synth.resources_of(template, "AWS::IAM::Role")
            if "Digits" in role["Properties"].get("Description", "")
        )
        if policy["PolicyName"] == "ManageNetworkInterfaces"
    )
    assert document["Statement"] == [
        {"Action": list(_permissions.MANAGE_NETWORK_INTERFACES), "Effect": "Allow", "Resource": "*"}
    ]


@pytest.mark.parametrize("actions", [_permissions.WRITE_LOGS, _permissions.MANAGE_NETWORK_INTERFACES])
def test_permissions_are_sorted_and_have_no_wildcards(actions: tuple[str, ...]) -> None:
    assert list(actions) == sorted(set(actions))
    assert not [action for action in actions if "*" in action]


def test_alias_points_to_the_version(make: Make) -> None:
    template = make()
    alias = synth.only(template, "AWS::Lambda::Alias")
    assert alias["Name"] == "live"
    assert alias["FunctionVersion"] == {"Fn::GetAtt": [version_id(template), "Version"]}


def test_versions_are_kept_for_rollback(make: Make) -> None:
    (version,) = synth.resources_of(make(), "AWS::Lambda::Version")
    assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize(
    ("change", "publishes"),
    [
        ({}, False),
        ({"memory_size": 3538}, True),
        ({"timeout": Duration.seconds(20)}, True),
        ({"architecture": lambda_.Architecture.ARM_64}, True),
        ({"ephemeral_storage_size": Size.gibibytes(1)}, True),
        ({"environment": {"LOG_LEVEL": "DEBUG"}}, True),
        ({"metrics_namespace": "Shop"}, True),
        ({"description": "Reads digits"}, True),
        ({"reserved_concurrent_executions": 5}, False),
    ],
)
def test_what_publishes_a_version(tmp_path: Path, model: ModelSource, change: dict[str, Any], publishes: bool) -> None:
    ids: list[str] = []
    for options in ({}, change):
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{len(ids)}"), "Shop")
        InferenceFunction(stack, "Digits", model=model, **options)
        ids.append(version_id(synth.template_of(stack)))
    assert (ids[0] != ids[1]) == publishes


@pytest.mark.parametrize("argument", ["name", "version", "content"])
def test_a_new_model_publishes_a_version(tmp_path: Path, argument: str) -> None:
    ids: list[str] = []
    for changed in (False, True):
        made = models.matmul()
        made.doc_string = "new" if changed and argument == "content" else ""
        path = models.save(made, tmp_path / "digits")
        source = ModelSource.in_image(
            path,
            name="other" if changed and argument == "name" else None,
            version="2" if changed and argument == "version" else "1",
        )
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{len(ids)}"), "Shop")
        InferenceFunction(stack, "Digits", model=source)
        ids.append(version_id(synth.template_of(stack)))
    assert ids[0] != ids[1]


def test_two_functions_of_a_stack_share_one_image(stack: Stack, model: ModelSource) -> None:
    for name in ("One", "Two"):
        InferenceFunction(stack, name, model=model)
    functions = synth.resources_of(synth.template_of(stack), "AWS::Lambda::Function")
    first, second = (json.dumps(made["Properties"]["Code"]) for made in functions)
    assert first == second


def test_grant_invoke_is_on_the_alias_alone(stack: Stack, model: ModelSource) -> None:
    service = InferenceFunction(stack, "Digits", model=model)
    user = iam.User(stack, "User")
    assert service.grant_invoke(user).success
    template = synth.template_of(stack)
    (policy,) = (
        made["Properties"]
        for made in synth.resources_of(template, "AWS::IAM::Policy")
        if made["Properties"].get("Users")
    )
    (statement,) = policy["PolicyDocument"]["Statement"]
    alias = stack.resolve(service.alias.function_arn)
    assert statement["Action"] == "lambda:InvokeFunction"
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    assert alias in resources
    assert all(json.dumps(alias) in json.dumps(resource) for resource in resources)


@pytest.mark.parametrize(
    ("method", "name", "statistic"),
    [
        ("metric_duration", "Duration", "Average"),
        ("metric_errors", "Errors", "Sum"),
        ("metric_invocations", "Invocations", "Sum"),
        ("metric_throttles", "Throttles", "Sum"),
    ],
)
def test_metrics_are_of_the_alias(stack: Stack, model: ModelSource, method: str, name: str, statistic: str) -> None:
    service = InferenceFunction(stack, "Digits", model=model)
    metric = getattr(service, method)()
    assert (metric.namespace, metric.metric_name, metric.statistic) == ("AWS/Lambda", name, statistic)
    assert set(metric.dimensions) == {"FunctionName", "Resource"}
    assert ":live" in json.dumps(stack.resolve(metric.dimensions["Resource"]))
    changed = getattr(service, method)(statistic="p99", period=Duration.minutes(1), label="L")
    assert (changed.statistic, changed.period.to_seconds(), changed.label) == ("p99", 60, "L")


def test_any_other_metric(stack: Stack, model: ModelSource) -> None:
    metric = InferenceFunction(stack, "Digits", model=model).metric("ConcurrentExecutions", statistic="Maximum")
    assert (metric.metric_name, metric.statistic) == ("ConcurrentExecutions", "Maximum")


def test_fails_with_all_problems_at_once(codes: Codes, stack: Stack, tmp_path: Path) -> None:
    assert codes(
        lambda: InferenceFunction(
            stack,
            "Digits",
            model=ModelSource.in_image(tmp_path / "none.onnx", version="v1"),
            processing=Processing(tmp_path / "none.py"),
            memory_size=64,
            timeout=Duration.minutes(16),
            ephemeral_storage_size=Size.mebibytes(1),
            reserved_concurrent_executions=-1,
            environment={"MODEL_NAME": "mine", "A-B": "x"},
            metrics_namespace="AWS/Lambda",
            vpc_subnets=ec2.SubnetSelection(),
        )
    ) == [
        "model-missing",
        "model-version",
        "processing-missing",
        "memory-size-range",
        "timeout-range",
        "ephemeral-storage-range",
        "reserved-concurrency-range",
        "environment-reserved",
        "environment-name",
        "metrics-namespace",
        "vpc-missing",
    ]


def test_fails_before_it_adds_anything_to_the_stack(codes: Codes, stack: Stack, model: ModelSource) -> None:
    codes(lambda: InferenceFunction(stack, "Digits", model=model, memory_size=1))
    assert "Resources" not in synth.template_of(stack)


def test_fails_on_a_name_that_the_path_has_and_a_url_cannot(codes: Codes, stack: Stack, tmp_path: Path) -> None:
    path = models.save(models.matmul(), tmp_path / "my digits")
    assert codes(lambda: InferenceFunction(stack, "Digits", model=ModelSource.in_image(path))) == ["model-name"]


def test_fails_on_two_files_in_one_place(codes: Codes, stack: Stack, tmp_path: Path) -> None:
    path = models.save(models.matmul(), tmp_path)
    for name in ("a.json", "A.json"):
        (path / "goldens").mkdir(exist_ok=True)
        (path / "goldens" / name).write_text("{}")
    assert codes(lambda: InferenceFunction(stack, "Digits", model=ModelSource.in_image(path, name="m"))) == [
        "image-file-collision"
    ]


def test_problems_say_which_construct_is_meant(stack: Stack, model: ModelSource) -> None:
    with pytest.raises(ValueError, match=r"Shop/Digits\.memory_size: got 1;"):
        InferenceFunction(stack, "Digits", model=model, memory_size=1)


def test_values_that_are_known_at_deployment_pass(make: Make, model_path: Path) -> None:
    number, text = Token.as_number({"Ref": "Number"}), Token.as_string({"Ref": "Text"})
    made = properties(
        make(
            model=ModelSource.in_image(model_path, name=text, version=text),
            memory_size=number,
            timeout=Duration.seconds(number),
            ephemeral_storage_size=Size.mebibytes(number),
            reserved_concurrent_executions=number,
            environment={"SECRET": text},
            metrics_namespace=text,
            description=text,
        )
    )
    assert made["MemorySize"] == made["Timeout"] == made["ReservedConcurrentExecutions"] == {"Ref": "Number"}
    assert made["EphemeralStorage"] == {"Size": {"Ref": "Number"}}
    variables = made["Environment"]["Variables"]
    assert variables["MODEL_NAME"] == variables["MODEL_VERSION"] == variables["SECRET"] == {"Ref": "Text"}


def test_warns_of_large_weights_in_the_graph(stack: Stack, model: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_function, "_WORTH_MOVING", 47)
    service = InferenceFunction(stack, "Digits", model=model)
    (warning,) = warnings(stack)
    assert "save_as_external_data=True" in warning
    assert "[ack: cdk-onnx-inference:weights-in-graph]" in warning
    assert service.alias is not None


def test_does_not_warn_where_there_is_nothing_to_gain(stack: Stack, model: ModelSource) -> None:
    InferenceFunction(stack, "Digits", model=model)
    assert warnings(stack) == []


def test_a_warning_can_be_acknowledged(stack: Stack, model: ModelSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_function, "_WORTH_MOVING", 47)
    service = InferenceFunction(stack, "Digits", model=model)
    Annotations.of(service).acknowledge_warning("cdk-onnx-inference:weights-in-graph", "cold starts do not matter")
    assert warnings(stack) == []


def test_warns_of_a_processing_file_that_it_could_not_parse(
    stack: Stack, model: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdk_onnx_inference.image._processing_files.PYTHON", (99, 0))
    (tmp_path / "words.py").write_text("something new\n")
    InferenceFunction(stack, "Digits", model=model, processing=Processing(tmp_path / "words.py"))
    (warning,) = warnings(stack)
    assert "[ack: cdk-onnx-inference:processing-not-parsed]" in warning
