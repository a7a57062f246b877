"""The construct `AsyncInference`: its template, its permissions and its metrics. Its checks are tested beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    AsyncInference,
    ColdStart,
    Cors,
    InferenceApi,
    InferenceFunction,
    JobApi,
    JobNotices,
    ModelFileSystem,
    ModelSource,
    Processing,
    ProvisionedConcurrency,
    Removal,
)
from cdk_onnx_inference.api._routes import JOB_ROUTES, ROUTES
from tests.constructs.api.test_inference_api import routes
from tests.support import models, synth

ROOMS = {
    "JobApi": "onnx_handler.job_api.handler",
    "Worker": "onnx_handler.queue.handler",
    "DeadLetters": "onnx_handler.dead_letters.handler",
    "Sweeper": "onnx_handler.sweep.handler",
}
SERVICE = "onnx_handler.http.handler"

Make = Callable[..., AsyncInference]


@pytest.fixture
def make(stack: Stack, model: ModelSource) -> Make:
    """Makes a service with jobs; options that the function has go to it by `function=`."""

    def of(function: dict[str, Any] | None = None, **options: Any) -> AsyncInference:
        service = InferenceFunction(stack, "Digits", **{"model": model, **(function or {})})
        return AsyncInference(stack, "Jobs", function=service, **options)

    return of


def template(jobs: AsyncInference) -> synth.Template:
    return synth.template_of(Stack.of(jobs))


def functions(made: synth.Template) -> dict[str, dict[str, Any]]:
    """Command -> properties, of the functions that run the image."""
    return {
        function["Properties"]["ImageConfig"]["Command"][0]: function["Properties"]
        for function in synth.resources_of(made, "AWS::Lambda::Function")
        if "ImageConfig" in function["Properties"]
    }


def variables(made: synth.Template, room: str) -> dict[str, Any]:
    found: dict[str, Any] = functions(made)[ROOMS.get(room, room)]["Environment"]["Variables"]
    return found


def reference(jobs: AsyncInference, value: Any) -> Any:
    return Stack.of(jobs).resolve(value)


def allowed(jobs: AsyncInference, role: iam.IRole) -> dict[str, list[str]]:
    """Action -> resources, of what a role's policies allow."""
    made = template(jobs)
    (logical_id,) = reference(jobs, role.role_name).values()
    documents = [policy["PolicyDocument"] for policy in made["Resources"][logical_id]["Properties"]["Policies"]]
    documents += [
        policy["Properties"]["PolicyDocument"]
        for policy in synth.resources_of(made, "AWS::IAM::Policy")
        if {"Ref": logical_id} in policy["Properties"]["Roles"]
    ]
    found: dict[str, list[str]] = {}
    for document in documents:
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for action in actions:
                found.setdefault(action, []).extend(_text(resource) for resource in resources)
    return found


def _text(value: Any) -> str:
    """A resource of a statement: `<Logical id.Attribute>` stands for what is known at deployment."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return "".join(map(_text, argument[1]))
    return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"


LOGS_AND_TRACES = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_all_functions_have_one_image(make: Make) -> None:
    made = template(make())
    assert functions(made).keys() == {SERVICE, *ROOMS.values()}
    assert len({json.dumps(function["Code"]) for function in functions(made).values()}) == 1


def test_every_function_has_a_role_a_log_group_and_an_alias_of_its_own(make: Make) -> None:
    made = template(make())
    assert len({json.dumps(function["Role"]) for function in functions(made).values()}) == 5
    assert len({json.dumps(function["LoggingConfig"]["LogGroup"]) for function in functions(made).values()}) == 5
    aliases = synth.resources_of(made, "AWS::Lambda::Alias")
    assert [alias["Properties"]["Name"] for alias in aliases] == ["live"] * 5
    assert len(synth.resources_of(made, "AWS::Lambda::Version")) == 5


def test_variables_of_the_worker(make: Make) -> None:
    jobs = make(function={"environment": {"VOCABULARY": "words"}}, micro_batch_size=32, job_timeout=Duration.hours(2))
    made = template(jobs)
    of_the_service = variables(made, SERVICE)
    assert variables(made, "Worker") == {
        **of_the_service,
        "JOBS_TABLE_NAME": reference(jobs, jobs.table.table_name),
        "PAYLOAD_BUCKET_NAME": reference(jobs, jobs.bucket.bucket_name),
        "JOB_TIMEOUT": "7200",
        "JOB_RETENTION": "1209600",
        "MICRO_BATCH_SIZE": "32",
    }
    assert of_the_service["VOCABULARY"] == "words"


def test_variables_of_the_functions_without_models(make: Make) -> None:
    jobs = make(function={"metrics_namespace": "Shop"}, retention=Duration.days(1))
    made = template(jobs)
    for_all = {
        "METRICS_NAMESPACE": "Shop",
        "JOBS_TABLE_NAME": reference(jobs, jobs.table.table_name),
        "JOB_TIMEOUT": "3600",
        "JOB_RETENTION": "86400",
    }
    assert variables(made, "JobApi") == {
        **for_all,
        "PAYLOAD_BUCKET_NAME": reference(jobs, jobs.bucket.bucket_name),
        "JOBS_QUEUE_URL": reference(jobs, jobs.queue.queue_url),
        "MODEL_SIGNATURES": "signatures.json",
    }
    assert variables(made, "DeadLetters") == {
        **for_all,
        "PARKED_QUEUE_URL": reference(jobs, jobs.parked_queue.queue_url),
    }
    assert variables(made, "Sweeper") == for_all


def signatures(jobs: AsyncInference) -> Any:
    app = Stack.of(jobs).node.root
    uri = json.dumps(functions(template(jobs))[SERVICE]["Code"])
    (directory,) = (path for path in Path(app.outdir).glob("asset.*") if path.name.removeprefix("asset.") in uri)  # type: ignore[attr-defined]
    return json.loads((directory / "signatures.json").read_text())["models"]


def test_the_image_knows_the_models_signature(make: Make) -> None:
    assert signatures(make()) == [
        {
            "name": "digits",
            "version": "1",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        }
    ]


def test_the_manifests_signature_comes_first(make: Make, tmp_path: Path) -> None:
    package = models.save_package(
        tmp_path / "digits",
        signature={
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [8, 4], "axes": ["", ""]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [8, 3], "axes": ["", ""]}],
        },
    )
    ((model,),) = [signatures(make(function={"model": ModelSource.in_image(package)}))]
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [8, 4]}]


def test_processing_makes_the_signature_unknown(make: Make, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    jobs = make(function={"processing": Processing(tmp_path / "words.py")})
    assert signatures(jobs) == [{"name": "digits", "version": "1"}]


def test_a_name_that_is_not_known_at_synth_makes_all_unknown(make: Make, model_path: Path) -> None:
    name = Token.as_string({"Ref": "AWS::StackName"})
    jobs = make(function={"model": ModelSource.in_image(model_path, name=name)})
    assert signatures(jobs) == []
    assert "MODEL_SIGNATURES" not in variables(template(jobs), "JobApi")


def test_several_models(make: Make, model_path: Path) -> None:
    several = [ModelSource.in_image(model_path), ModelSource.from_s3(model_path, name="other", version="7")]
    found = signatures(make(function={"model": several}))
    assert [(model["name"], model["version"]) for model in found] == [("digits", "1"), ("other", "7")]
    assert found[0]["inputs"] == found[1]["inputs"]


def test_the_queue_hides_messages_for_six_attempts_and_the_window(make: Make) -> None:
    jobs = make(timeout=Duration.seconds(100), batching_window=Duration.seconds(7))
    made = template(jobs)
    (logical_id,) = reference(jobs, jobs.queue.queue_url).values()
    queue = made["Resources"][logical_id]["Properties"]
    assert queue["VisibilityTimeout"] == 607
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == reference(jobs, jobs.dead_letter_queue.queue_arn)


def test_queues_are_encrypted_kept_long_and_tls_only(make: Make) -> None:
    made = template(make())
    queues = synth.resources_of(made, "AWS::SQS::Queue")
    assert len(queues) == 3
    for queue in queues:
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    policies = synth.resources_of(made, "AWS::SQS::QueuePolicy")
    assert len(policies) == 3
    for policy in policies:
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_event_sources_invoke_aliases_and_report_single_failures(make: Make) -> None:
    jobs = make(max_concurrency=7, batch_size=100, batching_window=Duration.seconds(2))
    sources = {
        json.dumps(source["Properties"]["EventSourceArn"]): source["Properties"]
        for source in synth.resources_of(template(jobs), "AWS::Lambda::EventSourceMapping")
    }
    worker = sources[json.dumps(reference(jobs, jobs.queue.queue_arn))]
    assert (worker["BatchSize"], worker["MaximumBatchingWindowInSeconds"]) == (100, 2)
    assert worker["ScalingConfig"] == {"MaximumConcurrency": 7}
    dead_letters = sources[json.dumps(reference(jobs, jobs.dead_letter_queue.queue_arn))]
    for source, function in ((worker, jobs.worker), (dead_letters, jobs.dead_letters)):
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        (alias,) = reference(jobs, function.alias.function_arn).values()
        assert f'"Ref": "{alias}"' in json.dumps(source["FunctionName"])
        assert json.dumps(source["FunctionName"]).endswith('":live"]]}')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 10),
        ({"reserved_concurrent_executions": 5}, 5),
        ({"reserved_concurrent_executions": 500}, 10),
        ({"reserved_concurrent_executions": 5, "max_concurrency": 3}, 3),
        ({"max_concurrency": 1000}, 1000),
    ],
)
def test_max_concurrency(make: Make, options: dict[str, Any], expected: int) -> None:
    jobs = make(**options)
    sources = synth.resources_of(template(jobs), "AWS::Lambda::EventSourceMapping")
    assert {"MaximumConcurrency": expected} in [source["Properties"]["ScalingConfig"] for source in sources]


def test_large_batches_have_a_window_by_themselves(make: Make) -> None:
    sources = synth.resources_of(template(make(batch_size=11)), "AWS::Lambda::EventSourceMapping")
    assert [source["Properties"].get("MaximumBatchingWindowInSeconds") for source in sources].count(1) == 1


@pytest.mark.parametrize(("of_the_service", "expected"), [(29, 60), (61, 61), (900, 900)])
def test_the_workers_timeout(make: Make, of_the_service: int, expected: int) -> None:
    jobs = make(function={"timeout": Duration.seconds(of_the_service)})
    assert functions(template(jobs))[ROOMS["Worker"]]["Timeout"] == expected


@pytest.mark.parametrize(("timeout", "expected"), [(60, 3600), (300, 3600), (301, 3612), (900, 10_800)])
def test_jobs_have_time_for_a_second_attempt(make: Make, timeout: int, expected: int) -> None:
    jobs = make(timeout=Duration.seconds(timeout))
    assert variables(template(jobs), "Worker")["JOB_TIMEOUT"] == str(expected)


def test_the_worker_has_the_services_memory_unless_told(make: Make) -> None:
    assert functions(template(make(function={"memory_size": 3008})))[ROOMS["Worker"]]["MemorySize"] == 3008


def test_the_workers_own_memory_and_reservation(make: Make) -> None:
    worker = functions(template(make(memory_size=2048, reserved_concurrent_executions=20)))[ROOMS["Worker"]]
    assert (worker["MemorySize"], worker["ReservedConcurrentExecutions"]) == (2048, 20)


def test_the_worker_has_a_cold_start_of_its_own(make: Make) -> None:
    jobs = make(cold_start=ColdStart.provisioned(ProvisionedConcurrency(min_capacity=2)))
    made = template(jobs)
    (alias,) = reference(jobs, jobs.worker.alias.function_arn).values()
    assert {
        name: resource["Properties"]["ProvisionedConcurrencyConfig"]
        for name, resource in made["Resources"].items()
        if "ProvisionedConcurrencyConfig" in resource.get("Properties", {})
    } == {alias: {"ProvisionedConcurrentExecutions": 2}}


def test_a_warmer_pings_the_workers_alias(make: Make) -> None:
    jobs = make(cold_start=ColdStart.warmer())
    targets = [
        schedule["Properties"]["Target"]["Arn"]
        for schedule in synth.resources_of(template(jobs), "AWS::Scheduler::Schedule")
    ]
    assert reference(jobs, jobs.worker.alias.function_arn) in targets
    assert len(targets) == 2


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


def test_permissions_of_the_worker(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.worker.role)
    queue, table, bucket = ("<JobsQueue24944186.Arn>", "<JobsTable10C8EDF6.Arn>", "<JobsPayloads9E925333.Arn>")
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:ReceiveMessage": [queue],
        "sqs:DeleteMessage": [queue],
        "sqs:GetQueueAttributes": [queue],
        "dynamodb:BatchGetItem": [table],
        "dynamodb:PartiQLUpdate": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
        "s3:GetObject": [f"{bucket}/jobs/*/request"],
        "s3:PutObject": [f"{bucket}/jobs/*/result-*"],
        "s3:ListBucket": [bucket],
    }


def test_permissions_of_the_job_api(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.job_api.role)
    queue, table, bucket = ("<JobsQueue24944186.Arn>", "<JobsTable10C8EDF6.Arn>", "<JobsPayloads9E925333.Arn>")
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:SendMessage": [queue],
        "dynamodb:DeleteItem": [table],
        "dynamodb:GetItem": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
        "s3:PutObject": [f"{bucket}/jobs/*/request"],
        "s3:GetObject": [f"{bucket}/jobs/*/request", f"{bucket}/jobs/*/result-*"],
        "s3:ListBucket": [bucket],
    }


def test_permissions_of_the_dead_letters(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.dead_letters.role)
    dead, parked, table = (
        "<JobsDeadLetterQueue8CC426EE.Arn>",
        "<JobsParkedQueueE6D1D2B3.Arn>",
        "<JobsTable10C8EDF6.Arn>",
    )
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "sqs:ReceiveMessage": [dead],
        "sqs:DeleteMessage": [dead],
        "sqs:GetQueueAttributes": [dead],
        "sqs:SendMessage": [parked],
        "dynamodb:GetItem": [table],
        "dynamodb:PutItem": [table],
        "dynamodb:UpdateItem": [table],
    }


def test_permissions_of_the_sweeper(make: Make) -> None:
    jobs = make()
    found = allowed(jobs, jobs.sweeper.role)
    table = "<JobsTable10C8EDF6.Arn>"
    assert {action: resources for action, resources in found.items() if action not in LOGS_AND_TRACES} == {
        "dynamodb:Query": [f"{table}/index/open-deadline"],
        "dynamodb:BatchGetItem": [table],
        "dynamodb:PartiQLUpdate": [table],
        "dynamodb:UpdateItem": [table],
    }


def test_the_service_itself_may_do_nothing_with_jobs(make: Make, stack: Stack) -> None:
    jobs = make()
    service = stack.node.find_child("Digits")
    assert isinstance(service, InferenceFunction)
    assert allowed(jobs, service.role).keys() == LOGS_AND_TRACES


def test_the_worker_reads_a_model_in_s3_and_the_others_do_not(make: Make, model_path: Path) -> None:
    jobs = make(function={"model": ModelSource.from_s3(model_path)})
    assert any(".onnx" in resource for resource in allowed(jobs, jobs.worker.role)["s3:GetObject"])
    assert not any(".onnx" in resource for resource in allowed(jobs, jobs.job_api.role)["s3:GetObject"])
    (version,) = reference(jobs, jobs.worker.version.function_arn).values()
    depends = template(jobs)["Resources"][version]["DependsOn"]
    assert any("WorkerReadModel" in name for name in depends)


@pytest.fixture
def on_efs(stack: Stack, model_path: Path) -> InferenceFunction:
    """A function with its model on EFS."""
    file_system = ModelFileSystem(stack, "Models")
    return InferenceFunction(stack, "Digits", model=ModelSource.on_efs(model_path, file_system=file_system))


def test_on_a_mount_only_the_worker_is_in_the_vpc(stack: Stack, on_efs: InferenceFunction) -> None:
    AsyncInference(stack, "Jobs", function=on_efs)
    made = functions(synth.template_of(stack))
    for command, properties in made.items():
        inside = command in (SERVICE, ROOMS["Worker"], "onnx_handler.publish.handler")
        assert ("VpcConfig" in properties) is inside
        assert ("FileSystemConfigs" in properties) is inside
    assert made[ROOMS["Worker"]]["FileSystemConfigs"] == made[SERVICE]["FileSystemConfigs"]
    assert len({json.dumps(function["Code"]) for function in made.values()}) == 1


def test_on_a_mount_there_are_gateway_endpoints_and_nothing_that_costs(stack: Stack, on_efs: InferenceFunction) -> None:
    AsyncInference(stack, "Jobs", function=on_efs)
    AsyncInference(stack, "MoreJobs", function=on_efs)
    made = synth.template_of(stack)
    endpoints = [endpoint["Properties"] for endpoint in synth.resources_of(made, "AWS::EC2::VPCEndpoint")]
    assert sorted(json.dumps(endpoint["ServiceName"]).rpartition(".")[2] for endpoint in endpoints) == [
        'dynamodb"]]}',
        's3"]]}',
    ]
    assert {endpoint["VpcEndpointType"] for endpoint in endpoints} == {"Gateway"}
    assert all(len(endpoint["RouteTableIds"]) == 2 for endpoint in endpoints)
    assert not synth.resources_of(made, "AWS::EC2::NatGateway")
    assert not synth.resources_of(made, "AWS::EC2::InternetGateway")


def test_without_jobs_there_is_no_endpoint_for_them(stack: Stack, on_efs: InferenceFunction) -> None:
    assert on_efs.alias
    assert len(synth.resources_of(synth.template_of(stack), "AWS::EC2::VPCEndpoint")) == 1


def test_the_worker_waits_for_the_models_publication(stack: Stack, on_efs: InferenceFunction) -> None:
    jobs = AsyncInference(stack, "Jobs", function=on_efs)
    (version,) = reference(jobs, jobs.worker.version.function_arn).values()
    depends = synth.template_of(stack)["Resources"][version]["DependsOn"]
    assert any("Publish" in name for name in depends)


def test_a_vpc_of_ones_own_has_nothing_added(make: Make, stack: Stack) -> None:
    vpc = ec2.Vpc(stack, "Vpc", nat_gateways=0, subnet_configuration=[_isolated()])
    jobs = make(function={"vpc": vpc, "vpc_subnets": ec2.SubnetSelection(subnet_type=_isolated().subnet_type)})
    made = template(jobs)
    assert not synth.resources_of(made, "AWS::EC2::VPCEndpoint")
    assert "VpcConfig" in functions(made)[ROOMS["Worker"]]
    assert "VpcConfig" not in functions(made)[ROOMS["JobApi"]]


def _isolated() -> ec2.SubnetConfiguration:
    return ec2.SubnetConfiguration(name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


@pytest.mark.parametrize("api_type", [ApiType.http_api(), ApiType.rest_api()])
def test_an_api_of_its_own_has_the_jobs_routes_alone(make: Make, api_type: Any) -> None:
    jobs = make(api_type=api_type)
    made = template(jobs)
    assert isinstance(jobs.api, JobApi)
    assert routes(made) == sorted(JOB_ROUTES)
    permission = synth.only(made, "AWS::Lambda::Permission")
    assert permission["FunctionName"] == reference(jobs, jobs.job_api.alias.function_arn)
    assert jobs.url == jobs.api.url


@pytest.mark.parametrize("api_type", [ApiType.http_api(), ApiType.rest_api()])
def test_an_api_that_is_there_already_has_both(stack: Stack, model: ModelSource, api_type: Any) -> None:
    service = InferenceFunction(stack, "Digits", model=model)
    api = InferenceApi(stack, "Api", function=service, api_type=api_type)
    jobs = AsyncInference(stack, "Jobs", function=service, api=api)
    made = synth.template_of(stack)
    assert jobs.api is api
    assert routes(made) == sorted([*ROUTES, *JOB_ROUTES])
    invoked = [
        permission["Properties"]["FunctionName"] for permission in synth.resources_of(made, "AWS::Lambda::Permission")
    ]
    assert sorted(map(json.dumps, invoked)) == sorted(
        json.dumps(reference(jobs, alias.function_arn)) for alias in (service.alias, jobs.job_api.alias)
    )


def test_an_existing_apis_auth_holds_for_jobs(stack: Stack, model: ModelSource) -> None:
    service = InferenceFunction(stack, "Digits", model=model)
    rest = ApiType.rest_api()
    api = InferenceApi(stack, "Api", function=service, api_type=rest, auth=ApiAuth.api_key())
    AsyncInference(stack, "Jobs", function=service, api=api)
    methods = synth.resources_of(synth.template_of(stack), "AWS::ApiGateway::Method")
    assert len(methods) == len(ROUTES) + len(JOB_ROUTES)
    assert {method["Properties"]["ApiKeyRequired"] for method in methods} == {True}


def test_auth_and_cors_of_an_api_of_its_own(make: Make) -> None:
    auth = ApiAuth.jwt(issuer="https://issuer.example.com", audience=["shop"])
    made = template(make(auth=auth, cors=Cors(allow_origins=["*"])))
    types = {route["Properties"]["AuthorizationType"] for route in synth.resources_of(made, "AWS::ApiGatewayV2::Route")}
    assert types == {"JWT"}
    cors = synth.only(made, "AWS::ApiGatewayV2::Api")["CorsConfiguration"]
    assert {"DELETE", "PUT"} < set(cors["AllowMethods"])
    assert {"idempotency-key", "job-timeout"} < set(cors["AllowHeaders"])


@pytest.mark.parametrize(
    ("api_type", "expected"),
    [
        (ApiType.http_api(), 29),
        (ApiType.rest_api(), 29),
        (ApiType.rest_api(integration_timeout=Duration.millis(10_500)), 10),
        (ApiType.rest_api(integration_timeout=Duration.millis(50)), 1),
        (ApiType.rest_api(integration_timeout=Duration.seconds(300)), 29),
        (ApiType.rest_api(integration_timeout=Duration.millis(Token.as_number({"Ref": "X"}))), 29),
    ],
)
def test_the_job_api_answers_before_its_api_gives_up(make: Make, api_type: Any, expected: int) -> None:
    assert make(api_type=api_type).job_api.timeout.to_seconds() == expected


def test_notices_to_a_topic(make: Make, stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic")
    jobs = make(notices=JobNotices.topic(topic))
    made = template(jobs)
    table = synth.only(made, "AWS::DynamoDB::GlobalTable")
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    pipe = synth.only(made, "AWS::Pipes::Pipe")
    assert pipe["Source"] == reference(jobs, jobs.table.table_stream_arn)
    assert pipe["Target"] == reference(jobs, topic.topic_arn)
    template_ = json.loads(pipe["TargetParameters"]["InputTemplate"])
    assert template_.keys() == {"id", "model", "status", "created_at", "updated_at"}
    assert jobs.notices_role is not None
    found = allowed(jobs, jobs.notices_role)
    assert found.pop("sns:Publish") == [f"<{reference(jobs, topic.topic_arn)['Ref']}>"]
    assert {resource for resources in found.values() for resource in resources} == {"<JobsTable10C8EDF6.StreamArn>"}


def test_notices_to_an_event_bus(make: Make, stack: Stack) -> None:
    bus = events.EventBus(stack, "Bus")
    jobs = make(notices=JobNotices.event_bus(bus))
    pipe = synth.only(template(jobs), "AWS::Pipes::Pipe")
    assert pipe["Target"] == reference(jobs, bus.event_bus_arn)
    assert pipe["TargetParameters"]["EventBridgeEventBusParameters"] == {
        "DetailType": "Inference job finished",
        "Source": "cdk-onnx-inference",
    }
    assert jobs.notices_role is not None
    assert "events:PutEvents" in allowed(jobs, jobs.notices_role)


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's matching, as far as the filters use it."""
    if isinstance(pattern, dict):
        return isinstance(event, dict) and all(
            name in event and matches(part, event[name]) for name, part in pattern.items()
        )
    return any(
        event not in choice["anything-but"] if isinstance(choice, dict) else event == choice for choice in pattern
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "QUEUED", False),
        (None, "FAILED", True),
        ("QUEUED", "RUNNING", False),
        ("QUEUED", "CANCELLED", True),
        ("RUNNING", "SUCCEEDED", True),
        ("RUNNING", "EXPIRED", True),
        ("SUCCEEDED", "SUCCEEDED", False),
        ("FAILED", "QUEUED", False),
        ("SUCCEEDED", None, False),
    ],
)
def test_notices_are_of_jobs_that_have_become_final(
    make: Make, stack: Stack, before: str | None, after: str | None, expected: bool
) -> None:
    pipe = synth.only(template(make(notices=JobNotices.topic(sns.Topic(stack, "Topic")))), "AWS::Pipes::Pipe")
    images = {"OldImage": before, "NewImage": after}
    event = {
        "eventName": "INSERT" if before is None else "REMOVE" if after is None else "MODIFY",
        "dynamodb": {name: {"status": {"S": status}} for name, status in images.items() if status},
    }
    filters = [json.loads(one["Pattern"]) for one in pipe["SourceParameters"]["FilterCriteria"]["Filters"]]
    assert sum(matches(pattern, event) for pattern in filters) == expected


def test_the_sweeper_runs_every_five_minutes(make: Make) -> None:
    jobs = make()
    schedule = synth.only(template(jobs), "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "rate(5 minutes)"
    assert schedule["Target"]["Arn"] == reference(jobs, jobs.sweeper.alias.function_arn)


def grantee(stack: Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())


def granted(jobs: AsyncInference) -> dict[str, list[str]]:
    """Action -> resources, of the one policy that a grant makes."""
    made = template(jobs)
    (policy,) = (name for name in made["Resources"] if name.startswith("CallerDefaultPolicy"))
    found: dict[str, list[str]] = {}
    for statement in made["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for action in actions:
            found.setdefault(action, []).extend(_text(resource).rpartition("$default")[2] for resource in resources)
    return {action: sorted(resources) for action, resources in found.items()}


def test_grant_submit(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_submit(grantee(stack)).assert_success()
    assert granted(jobs) == {
        "execute-api:Invoke": ["/POST/v2/models/*/jobs", "/PUT/v2/models/*/jobs/*"],
        "sqs:SendMessage": ["<JobsQueue24944186.Arn>"],
        "s3:PutObject": ["<JobsPayloads9E925333.Arn>/jobs/*/request"],
    }


def test_grant_read(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_read(grantee(stack)).assert_success()
    assert granted(jobs) == {
        "execute-api:Invoke": ["/GET/v2/models/*/jobs/*", "/GET/v2/models/*/jobs/*/result"],
        "dynamodb:GetItem": ["<JobsTable10C8EDF6.Arn>"],
        "s3:GetObject": ["<JobsPayloads9E925333.Arn>/jobs/*/result-*"],
    }


def test_grant_cancel(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_cancel(grantee(stack)).assert_success()
    assert granted(jobs) == {"execute-api:Invoke": ["/DELETE/v2/models/*/jobs/*"]}


def test_grant_redrive(make: Make, stack: Stack) -> None:
    jobs = make()
    jobs.grant_redrive(grantee(stack)).assert_success()
    found = granted(jobs)
    assert found.pop("sqs:SendMessage") == ["<JobsQueue24944186.Arn>"]
    assert found.pop("dynamodb:GetItem") == ["<JobsTable10C8EDF6.Arn>"]
    assert found == {
        action: ["<JobsParkedQueueE6D1D2B3.Arn>"]
        for action in (
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        )
    }


def test_metrics_of_queues(make: Make) -> None:
    jobs = make()
    names = {
        (metric.metric_name, metric.statistic, json.dumps(reference(jobs, metric.dimensions)))
        for metric in (
            jobs.metric_queue_depth(),
            jobs.metric_queue_age(),
            jobs.metric_dead_letter_queue_depth(),
            jobs.metric_parked_queue_depth(),
        )
    }
    assert len(names) == 4
    assert {name for name, _, _ in names} == {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}
    assert {statistic for _, statistic, _ in names} == {"Maximum"}


def test_metrics_of_jobs(make: Make) -> None:
    jobs = make(function={"metrics_namespace": "Shop"})
    succeeded, latency = jobs.metric_jobs_succeeded(), jobs.metric_job_latency()
    assert isinstance(succeeded, cloudwatch.Metric)
    for metric, name, statistic in ((succeeded, "JobsSucceeded", "Sum"), (latency, "JobLatency", "p99")):
        assert (metric.namespace, metric.metric_name, metric.statistic) == ("Shop", name, statistic)
        assert reference(jobs, metric.dimensions) == {
            "FunctionName": reference(jobs, jobs.worker.function.function_name)
        }


def test_metrics_of_several_functions_are_sums_that_an_alarm_can_watch(make: Make, stack: Stack) -> None:
    jobs = make()
    for name, metric, number in (
        ("jobsFailed", jobs.metric_jobs_failed(), 2),
        ("jobsExpired", jobs.metric_jobs_expired(), 3),
    ):
        cloudwatch.Alarm(stack, name, metric=metric, threshold=1, evaluation_periods=1)
        alarm = synth.resources_of(synth.template_of(stack), "AWS::CloudWatch::Alarm")[-1]["Properties"]
        (expression,) = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
        assert expression == " + ".join(f"FILL({name}{index}, 0)" for index in range(number))


def test_existing_resources_are_used_and_none_made(make: Make, stack: Stack) -> None:
    dead = sqs.Queue(stack, "Dead")
    queue = sqs.Queue(
        stack,
        "Mine",
        visibility_timeout=Duration.minutes(30),
        retention_period=Duration.days(14),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=5),
    )
    bucket = s3.Bucket(stack, "Bucket")
    jobs = make(queue=queue, bucket=bucket)
    made = template(jobs)
    assert (jobs.queue, jobs.dead_letter_queue, jobs.bucket) == (queue, dead, bucket)
    assert len(synth.resources_of(made, "AWS::SQS::Queue")) == 3
    assert len(synth.resources_of(made, "AWS::S3::Bucket")) == 1
    sources = synth.resources_of(made, "AWS::Lambda::EventSourceMapping")
    assert [source["Properties"]["EventSourceArn"] for source in sources] == [
        reference(jobs, of.queue_arn) for of in (queue, dead)
    ]


def test_keys_of_existing_resources(make: Make, stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    jobs = make(bucket=s3.Bucket(stack, "Bucket", encryption_key=key))
    arn = f"<{reference(jobs, key.key_arn)['Fn::GetAtt'][0]}.Arn>"
    for function in (jobs.worker, jobs.job_api):
        found = allowed(jobs, function.role)
        assert (found["kms:Decrypt"], found["kms:GenerateDataKey"]) == ([arn], [arn])
    assert "kms:Decrypt" not in allowed(jobs, jobs.sweeper.role)
