"""Findings of cdk-nag that the prebuilt stacks accept, each with its reason. There is no other place for them."""

from __future__ import annotations

from typing import Final

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

from cdk_onnx_inference import InferenceApi, InferenceFunction
from cdk_onnx_inference.api_auth import AnyApiAuth, ApiKeyAuth, NoAuth
from cdk_onnx_inference.api_type import AnyApiType, RestApiType

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


def acknowledge(
    function: InferenceFunction, api: InferenceApi, *, api_type: AnyApiType | None, auth: AnyApiAuth | None
) -> None:
    """Records the accepted findings on the constructs that they are about.

    Args:
        function: Of the stack.
        api: Of the stack.
        api_type: What the API was made with.
        auth: What the API was made with.
    """
    _accept(function.role, XRAY)
    _accept(function.function, SYNCHRONOUS)
    if isinstance(api_type, RestApiType):
        _accept(api, HANDLER_VALIDATES, NO_FIREWALL, NO_EXECUTION_LOG, NOT_COGNITO)
        if api_type.account_log_role:
            _accept(api, ACCOUNT_LOG_ROLE)
    if isinstance(auth, NoAuth):
        _accept(api, ("AwsSolutions::AwsSolutions-APIG4", f"No authentication: {auth.reason}"))
    elif isinstance(auth, ApiKeyAuth):
        _accept(api, API_KEY)


def _accept(construct: IConstruct, *findings: tuple[str, str]) -> None:
    Validations.of(construct).acknowledge(*(Acknowledgment(id=finding, reason=reason) for finding, reason in findings))
