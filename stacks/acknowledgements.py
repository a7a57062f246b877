"""The findings of cdk-nag that the prebuilt stacks accept, each with its reason. All of them are in this file."""

from __future__ import annotations

from typing import Final

from aws_cdk import Acknowledgment, CfnElement, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from cdk_onnx_inference import (
    AsyncInference,
    InferenceApi,
    InferenceFunction,
    ModelFileSystem,
    ModelS3Files,
    ServiceFunction,
)
from cdk_onnx_inference.api.api_auth import AnyApiAuth, ApiKeyAuth, NoAuth
from cdk_onnx_inference.api.api_type import AnyApiType, RestApiType

XRAY: Final = (
    "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
    "X-Ray's actions to write traces cannot be limited to a resource.",
)
SYNCHRONOUS: Final = (
    "Serverless::Serverless-LambdaDLQ",
    "The function is invoked synchronously: the caller gets the error, and Lambda would put nothing into a dead-letter "
    "queue.",
)
HANDLER_VALIDATES: Final = (
    "AwsSolutions::AwsSolutions-APIG2",
    "The handler checks each request against the model's own signature, which a schema in the API cannot express for "
    "binary tensors.",
)
NO_FIREWALL: Final = (
    "AwsSolutions::AwsSolutions-APIG3",
    "A web ACL costs a fixed sum a month and depends on who calls: it is the deploying account's choice. Requests are "
    "throttled.",
)
NO_EXECUTION_LOG: Final = (
    "AwsSolutions::AwsSolutions-APIG6",
    "Access logs are on. Execution logs would repeat them at several times the volume.",
)
NOT_COGNITO: Final = (
    "AwsSolutions::AwsSolutions-COG4",
    "Callers of an inference API are programs: they identify themselves as the stack's auth option says.",
)
ACCOUNT_LOG_ROLE: Final = (
    "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
    "AmazonAPIGatewayPushToCloudWatchLogs]",
    "The role is the account's own for API Gateway's logs, with the policy that AWS made for it.",
)
API_KEY: Final = (
    "AwsSolutions::AwsSolutions-APIG4",
    "Whoever deploys has chosen API keys, which API Gateway checks but does not count as authorisation.",
)

PINGS_ARE_NOT_KEPT: Final = (
    "Serverless::Serverless-EventBusDLQ",
    "A ping that was not delivered is followed by the next one; one that was kept would warm nothing.",
)
NO_FLOW_LOG: Final = (
    "AwsSolutions::AwsSolutions-VPC7",
    "Nothing but S3 can be reached from the VPC, and nothing from outside can reach into it. Flow logs would cost more "
    "than all the rest of it.",
)
NETWORK_INTERFACES: Final = (
    "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
    "Lambda checks the actions that attach a function to a VPC on every resource.",
)
NETWORK_INTERFACES_OF_SERVERLESS: Final = ("Serverless::Serverless-LambdaStarPermissions", NETWORK_INTERFACES[1])
PUBLISHER_ANSWERS: Final = (
    "Serverless::Serverless-LambdaDLQ",
    "CloudFormation gets the publisher's errors as its answer, and fails the deployment.",
)
PUBLISHER_IS_NOT_TRACED: Final = (
    "Serverless::Serverless-LambdaTracing",
    "The publisher runs once in a deployment; its log says how long each step took.",
)
NO_SERVER_ACCESS_LOG: Final = (
    "AwsSolutions::AwsSolutions-S1",
    "The bucket is read by this stack's own functions and by S3 Files, on behalf of requests that the API logs.",
)
QUEUE_HAS_THE_FAILURES: Final = (
    "Serverless::Serverless-LambdaDLQ",
    "An event source mapping invokes the function: a batch that fails stays in the queue, whose redrive policy is what "
    "this asks for.",
)
QUEUE_IS_THE_DESTINATION: Final = (
    "Serverless::Serverless-LambdaEventSourceMappingDestination",
    "SQS has its own means for messages that fail; Lambda offers destinations for streams only.",
)
NEXT_SWEEP: Final = (
    "Serverless::Serverless-LambdaDLQ",
    "The schedule runs it again five minutes later, for the same jobs: an event that was kept would do nothing more.",
)
LAST_QUEUE: Final = (
    "Serverless::Serverless-SQSRedrivePolicy",
    "Messages come here when they have failed elsewhere; there is nowhere further for them to go.",
)
NOBODY_CONSUMES: Final = (
    "AwsSolutions::AwsSolutions-SQS3",
    "The queue keeps the messages of failed jobs until somebody sends them again; nothing receives them by itself.",
)
NO_ACCESS_LOG_OF_PAYLOADS: Final = (
    "AwsSolutions::AwsSolutions-S1",
    "The bucket is written and read by this stack's own functions, on behalf of requests that the API logs.",
)
RULES_OF_S3_FILES: Final = "S3 Files names its EventBridge rules itself, and lists those of the account."


def acknowledge(
    function: InferenceFunction, api: InferenceApi, *, api_type: AnyApiType | None, auth: AnyApiAuth | None
) -> None:
    """Acknowledges the findings about a function and its API.

    Args:
        function: The function.
        api: Its API.
        api_type: The API's `api_type`.
        auth: The API's `auth`.
    """
    _accept(function.role, XRAY)
    _accept(function.function, SYNCHRONOUS)
    if function.warmer is not None and function.warmer.rule is not None:
        _accept(function.warmer.rule, PINGS_ARE_NOT_KEPT)
    if isinstance(api_type, RestApiType):
        _accept(api, HANDLER_VALIDATES, NO_FIREWALL, NO_EXECUTION_LOG, NOT_COGNITO)
        if api_type.account_log_role:
            _accept(api, ACCOUNT_LOG_ROLE)
    if isinstance(auth, NoAuth):
        _accept(api, ("AwsSolutions::AwsSolutions-APIG4", f"No authentication: {auth.reason}"))
    elif isinstance(auth, ApiKeyAuth):
        _accept(api, API_KEY)


def acknowledge_jobs(jobs: AsyncInference) -> None:
    """Acknowledges the findings about jobs.

    Args:
        jobs: The jobs, with queues, a table and a bucket that they made.
    """
    bucket = jobs.bucket
    assert isinstance(bucket, s3.Bucket)
    payloads = [
        (
            f"AwsSolutions::AwsSolutions-IAM5[Resource::<{_logical_id(bucket)}.Arn>/jobs/*/{kind}]",
            "A job's id is not known before there is the job.",
        )
        for kind in ("request", "result-*")
    ]
    for function in (jobs.worker, jobs.job_api, jobs.dead_letters, jobs.sweeper):
        _accept(function.role, XRAY)
    for function in (jobs.worker, jobs.job_api):
        _accept(function.role, *payloads)
    _accept(jobs.job_api.function, SYNCHRONOUS)
    for function in (jobs.worker, jobs.dead_letters):
        _accept(function.function, QUEUE_HAS_THE_FAILURES)
    _accept(jobs.worker_event_source, QUEUE_IS_THE_DESTINATION)
    _accept(jobs.dead_letters_event_source, QUEUE_IS_THE_DESTINATION)
    _accept(jobs.sweeper.function, NEXT_SWEEP)
    _accept(jobs.dead_letter_queue, LAST_QUEUE)
    _accept(jobs.parked_queue, NOBODY_CONSUMES, LAST_QUEUE)
    _accept(bucket, NO_ACCESS_LOG_OF_PAYLOADS)


def acknowledge_file_system(
    file_system: ModelFileSystem | ModelS3Files, *functions: InferenceFunction | ServiceFunction
) -> None:
    """Acknowledges the findings about a file system and the functions that mount it.

    Args:
        file_system: The file system, with a VPC that it made.
        functions: The functions with the models.
    """
    for function in functions:
        _accept(function.role, NETWORK_INTERFACES_OF_SERVERLESS)
    _accept(file_system.vpc, NO_FLOW_LOG)
    _accept(
        file_system,
        NETWORK_INTERFACES,
        NETWORK_INTERFACES_OF_SERVERLESS,
        PUBLISHER_ANSWERS,
        PUBLISHER_IS_NOT_TRACED,
    )
    if isinstance(file_system, ModelS3Files):
        objects = (
            f"AwsSolutions::AwsSolutions-IAM5[Resource::<{_logical_id(file_system.bucket)}.Arn>/*]",
            "The bucket holds nothing but the models of this file system.",
        )
        rules = "AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:"
        for function in functions:
            _accept(function.role, objects)
        _accept(
            file_system,
            NO_SERVER_ACCESS_LOG,
            objects,
            (f"{rules}rule/DO-NOT-DELETE-S3-Files*]", RULES_OF_S3_FILES),
            (f"{rules}rule/*]", RULES_OF_S3_FILES),
        )


def _logical_id(bucket: s3.Bucket) -> str:
    resource = bucket.node.default_child
    assert isinstance(resource, CfnElement)
    return Stack.of(bucket).get_logical_id(resource)


def _accept(construct: IConstruct, *findings: tuple[str, str]) -> None:
    Validations.of(construct).acknowledge(*(Acknowledgment(id=finding, reason=reason) for finding, reason in findings))
