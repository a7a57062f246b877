"""Small templates, at least one that breaks each rule and one that keeps it as narrowly as it can."""

from __future__ import annotations

from typing import Any

Resources = dict[str, dict[str, Any]]
DIGEST = "0" * 64


def made(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def function(**properties: Any) -> dict[str, Any]:
    return made("Lambda::Function", Timeout=30, **properties)


def alias(**properties: Any) -> dict[str, Any]:
    return made("Lambda::Alias", FunctionName=ref("Function"), FunctionVersion="1", Name="live", **properties)


PROVISIONED = {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 2}}


def mapped(
    queue: dict[str, Any] | None = None,
    mapping: dict[str, Any] | None = None,
    worker: dict[str, Any] | None = None,
    dead: dict[str, Any] | None = None,
    **more: dict[str, Any],
) -> Resources:
    """A queue that a function works off, with nothing wrong unless an argument says otherwise."""
    return {
        "Function": function(**(worker or {})),
        "Queue": made(
            "SQS::Queue",
            **{
                "VisibilityTimeout": 180,
                "MessageRetentionPeriod": 345_600,
                "RedrivePolicy": {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 5},
            }
            | (queue or {}),
        ),
        "Dead": made("SQS::Queue", **{"MessageRetentionPeriod": 1_209_600} | (dead or {})),
        "Alarm": made(
            "CloudWatch::Alarm", Dimensions=[{"Name": "QueueName", "Value": {"Fn::GetAtt": "Dead.QueueName"}}]
        ),
        "Mapping": made(
            "Lambda::EventSourceMapping",
            **{
                "EventSourceArn": arn("Queue"),
                "FunctionName": ref("Function"),
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            }
            | (mapping or {}),
        ),
        **more,
    }


def without(resources: Resources, name: str) -> Resources:
    return {key: value for key, value in resources.items() if key != name}


def rest_method(timeout: int | None, target: Any) -> dict[str, Any]:
    uri = {"Fn::Join": ["", ["arn:", ref("AWS::Partition"), ":apigateway:r:lambda:path/f/", target, "/invocations"]]}
    integration = {"Uri": uri} | ({} if timeout is None else {"TimeoutInMillis": timeout})
    return made("ApiGateway::Method", HttpMethod="POST", Integration=integration)


def http_integration(target: Any) -> dict[str, Any]:
    return made("ApiGatewayV2::Integration", IntegrationUri=target, PayloadFormatVersion="2.0")


def scalable(minimum: int) -> dict[str, Any]:
    return made(
        "ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace="lambda",
        MinCapacity=minimum,
        MaxCapacity=5,
        ResourceId={"Fn::Join": ["", ["function:", ref("Function"), ":", {"Fn::Select": [7, [ref("Alias")]]}]]},
    )


def schedule(target: Any, **retry: int) -> dict[str, Any]:
    policy = {"RetryPolicy": retry} if retry else {}
    return made("Scheduler::Schedule", ScheduleExpression="rate(5 minutes)", Target={"Arn": target, **policy})


def in_network(*actions: str) -> Resources:
    statement = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    return {
        "Nat": made("EC2::NatGateway", SubnetId="subnet-1"),
        "Function": function(VpcConfig={"SubnetIds": ["subnet-2"]}, Role=arn("Role")),
        "Role": made("IAM::Role", Policies=[{"PolicyDocument": {"Statement": statement}}]),
    }


def with_mount(**file_system: str) -> Resources:
    return {
        "Function": function(FileSystemConfigs=[{"Arn": arn("AccessPoint"), "LocalMountPath": "/mnt/models"}]),
        "AccessPoint": made("EFS::AccessPoint", FileSystemId=ref("FileSystem")),
        "FileSystem": made("EFS::FileSystem", **file_system),
    }


def image(uri: Any, **properties: Any) -> Resources:
    return {"Function": function(PackageType="Image", Code={"ImageUri": uri}, **properties)}


ASSET = {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/cdk-assets:" + DIGEST}
SNAP_START = {"ApplyOn": "PublishedVersions"}

BAD: dict[str, list[Resources]] = {
    "queue-visibility-timeout": [
        mapped({"VisibilityTimeout": 20}),
        mapped({"VisibilityTimeout": 179}),
        mapped(mapping={"MaximumBatchingWindowInSeconds": 1}),
    ],
    "queue-over-pull": [
        mapped(worker={"ReservedConcurrentExecutions": 5}, mapping={"ScalingConfig": {"MaximumConcurrency": 50}}),
        mapped(worker={"ReservedConcurrentExecutions": 5}),
    ],
    "queue-without-dead-letter-queue": [mapped({"RedrivePolicy": None})],
    "queue-max-receive-count": [
        mapped({"RedrivePolicy": {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 4}}),
        mapped({"RedrivePolicy": {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": "1"}}),
    ],
    "dead-letter-queue-unattended": [without(mapped(), "Alarm")],
    "dead-letter-queue-retention": [mapped(dead={"MessageRetentionPeriod": 345_600})],
    "batch-item-failures": [mapped(mapping={"FunctionResponseTypes": None})],
    "provisioned-concurrency-bypassed": [
        {"Function": function(), "Alias": alias(**PROVISIONED), "Integration": http_integration(arn("Function"))},
        {"Function": function(), "Alias": alias(**PROVISIONED), "Method": rest_method(None, arn("Function"))},
        {
            "Function": function(),
            "Alias": alias(),
            "Target": scalable(1),
            "Url": made("Lambda::Url", TargetFunctionArn=arn("Function")),
        },
        mapped(Alias=alias(**PROVISIONED)),
    ],
    "provisioned-concurrency-with-weights": [
        {
            "Function": function(),
            "Alias": alias(
                **PROVISIONED,
                RoutingConfig={"AdditionalVersionWeights": [{"FunctionVersion": "2", "FunctionWeight": 0.1}]},
            ),
        },
    ],
    "provisioned-concurrency-minimum": [{"Function": function(), "Alias": alias(), "Target": scalable(0)}],
    "provisioned-above-reserved": [
        {"Function": function(ReservedConcurrentExecutions=1), "Alias": alias(**PROVISIONED)}
    ],
    "snap-start-excluded": [
        {"Function": function(SnapStart=SNAP_START), "Alias": alias(**PROVISIONED)},
        {"Function": function(SnapStart=SNAP_START, EphemeralStorage={"Size": 513})},
        {"Function": function(SnapStart=SNAP_START, FileSystemConfigs=[{"Arn": "arn", "LocalMountPath": "/mnt/m"}])},
    ],
    "warmer-misses-alias": [
        {"Function": function(), "Alias": alias(), "Schedule": schedule(arn("Function"), MaximumRetryAttempts=0)},
        {
            "Function": function(),
            "Alias": alias(),
            "Rule": made(
                "Events::Rule", ScheduleExpression="rate(1 minute)", Targets=[{"Id": "0", "Arn": arn("Function")}]
            ),
        },
    ],
    "schedule-retries": [{"Function": function(), "Schedule": schedule(arn("Function"))}],
    "api-timeout": [
        {"Function": made("Lambda::Function", Timeout=31), "Integration": http_integration(arn("Function"))},
        {"Function": function(), "Method": rest_method(None, arn("Function"))},
        {"Function": function(), "Method": rest_method(29_000, ref("Alias")), "Alias": alias()},
    ],
    "image-tag-mutable": [
        image("123456789012.dkr.ecr.eu-west-1.amazonaws.com/digits:latest"),
        image("123456789012.dkr.ecr.eu-west-1.amazonaws.com/digits"),
        image({"Fn::Join": ["", [ref("AWS::AccountId"), ".dkr.ecr.eu-west-1.amazonaws.com/digits:v2"]]}),
    ],
    "image-platform": [image(ASSET, Architectures=["arm64"])],
    "nat-gateway-without-need": [
        in_network("s3:GetObject", "logs:PutLogEvents"),
        in_network("elasticfilesystem:ClientMount", "ec2:CreateNetworkInterface"),
    ],
    "file-system-bursting": [with_mount(), with_mount(ThroughputMode="bursting")],
}

GOOD: dict[str, list[Resources]] = {
    "queue-visibility-timeout": [
        mapped(),
        mapped({"VisibilityTimeout": 190}, {"MaximumBatchingWindowInSeconds": 10}),
        mapped({"VisibilityTimeout": ref("Parameter")}),
    ],
    "queue-over-pull": [
        mapped(worker={"ReservedConcurrentExecutions": 5}, mapping={"ScalingConfig": {"MaximumConcurrency": 5}}),
        mapped(),
        mapped(worker={"ReservedConcurrentExecutions": ref("Parameter")}),
    ],
    "queue-without-dead-letter-queue": [mapped(), {"Queue": made("SQS::Queue")}],
    "queue-max-receive-count": [mapped()],
    "dead-letter-queue-unattended": [
        mapped(),
        without(
            mapped(
                Consumer=made(
                    "Lambda::EventSourceMapping", EventSourceArn=arn("Dead"), FunctionName="elsewhere", BatchSize=1
                )
            ),
            "Alarm",
        ),
    ],
    "dead-letter-queue-retention": [
        mapped(),
        mapped({"MessageRetentionPeriod": 1_209_600}, dead={"MessageRetentionPeriod": 1_209_600}),
    ],
    "batch-item-failures": [mapped(), mapped(mapping={"FunctionResponseTypes": None, "BatchSize": 1})],
    "provisioned-concurrency-bypassed": [
        {"Function": function(), "Alias": alias(**PROVISIONED), "Integration": http_integration(ref("Alias"))},
        {"Function": function(), "Alias": alias(), "Integration": http_integration(arn("Function"))},
        {
            "Function": function(),
            "Alias": alias(**PROVISIONED),
            "Integration": http_integration({"Fn::Sub": "${Function.Arn}:live"}),
        },
        {
            "Function": function(),
            "Alias": alias(**PROVISIONED),
            "Method": rest_method(29_000, {"Fn::Join": ["", [arn("Function"), ":live"]]}),
        },
    ],
    "provisioned-concurrency-with-weights": [
        {"Function": function(), "Alias": alias(**PROVISIONED)},
        {
            "Function": function(),
            "Alias": alias(
                RoutingConfig={"AdditionalVersionWeights": [{"FunctionVersion": "2", "FunctionWeight": 0.1}]}
            ),
        },
    ],
    "provisioned-concurrency-minimum": [{"Function": function(), "Alias": alias(), "Target": scalable(1)}],
    "provisioned-above-reserved": [
        {"Function": function(ReservedConcurrentExecutions=2), "Alias": alias(**PROVISIONED)}
    ],
    "snap-start-excluded": [
        {"Function": function(SnapStart=SNAP_START, EphemeralStorage={"Size": 512}), "Alias": alias()},
        {"Function": function(SnapStart={"ApplyOn": "None"}), "Alias": alias(**PROVISIONED)},
    ],
    "warmer-misses-alias": [
        {"Function": function(), "Alias": alias(), "Schedule": schedule(ref("Alias"), MaximumRetryAttempts=0)},
        {"Function": function(), "Schedule": schedule(arn("Function"), MaximumRetryAttempts=0)},
    ],
    "schedule-retries": [
        {"Function": function(), "Schedule": schedule(arn("Function"), MaximumRetryAttempts=0)},
        {"Function": function(), "Schedule": schedule(arn("Function"), MaximumEventAgeInSeconds=60)},
    ],
    "api-timeout": [
        {"Function": function(), "Integration": http_integration(arn("Function"))},
        {"Function": made("Lambda::Function", Timeout=29), "Method": rest_method(None, arn("Function"))},
        {"Function": function(), "Method": rest_method(30_000, arn("Function"))},
        {"Function": made("Lambda::Function", Timeout=900)},
    ],
    "image-tag-mutable": [
        image(ASSET),
        image("123456789012.dkr.ecr.eu-west-1.amazonaws.com/digits@sha256:" + DIGEST),
        image(ref("ImageUri")),
    ],
    "image-platform": [image(ASSET), image(ASSET, Architectures=["x86_64"])],
    "nat-gateway-without-need": [
        in_network("s3:GetObject", "sqs:SendMessage"),
        in_network("*"),
        in_network("logs:PutLogEvents"),
        in_network("s3:GetObject") | {"Cluster": made("ECS::Cluster")},
        without(in_network("s3:GetObject"), "Nat"),
    ],
    "file-system-bursting": [
        with_mount(ThroughputMode="elastic"),
        {"FileSystem": made("EFS::FileSystem")},
    ],
}
