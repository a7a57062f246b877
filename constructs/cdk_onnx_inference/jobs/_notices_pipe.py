"""The EventBridge pipe from the table's stream to the target of `JobNotices`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_pipes as pipes
from constructs import Construct

from cdk_onnx_inference import _permissions

from .job_notices import AnyJobNotices, NoticesToTopic

SOURCE = "cdk-onnx-inference"
DETAIL_TYPE = "Inference job finished"
FINAL = ("SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED")
"""The final statuses of a job."""

_MEMBERS = {"id": "S", "model": "S", "status": "S", "created_at": "N", "updated_at": "N"}
"""Attribute of a record -> its DynamoDB type. All records have these attributes."""

_BATCH_SIZE = 10
"""The most that one call of SNS or of EventBridge accepts."""


@dataclass(frozen=True, slots=True)
class NoticesPipe:
    """What `build` made."""

    pipe: pipes.CfnPipe
    role: iam.Role


def build(scope: Construct, *, notices: AnyJobNotices, stream_arn: str) -> NoticesPipe:
    """Makes the pipe and its role.

    Args:
        scope: Their parent.
        notices: Where notices go.
        stream_arn: ARN of a stream with new and old images.
    """
    bus = pipes.CfnPipe.PipeTargetEventBridgeEventBusParametersProperty(source=SOURCE, detail_type=DETAIL_TYPE)
    if isinstance(notices, NoticesToTopic):
        action, target, bus_parameters = "sns:Publish", notices.topic.topic_arn, None
    else:
        action, target, bus_parameters = "events:PutEvents", notices.event_bus.event_bus_arn, bus
    role = iam.Role(
        scope,
        "NoticesRole",
        assumed_by=iam.PrincipalWithConditions(
            iam.ServicePrincipal("pipes.amazonaws.com"), {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        ),
        description=f"Tells who waits for the jobs of {scope.node.path}",
        inline_policies={
            "ReadStream": iam.PolicyDocument(
                statements=[iam.PolicyStatement(actions=[*_permissions.READ_STREAM], resources=[stream_arn])]
            ),
            "Notify": iam.PolicyDocument(statements=[iam.PolicyStatement(actions=[action], resources=[target])]),
        },
    )
    pipe = pipes.CfnPipe(
        scope,
        "Notices",
        description=f"Finished jobs of {scope.node.path}",
        role_arn=role.role_arn,
        source=stream_arn,
        source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
            dynamo_db_stream_parameters=pipes.CfnPipe.PipeSourceDynamoDBStreamParametersProperty(
                # The pipe is ready some time after the API. Jobs that finished by then are in the stream already.
                starting_position="TRIM_HORIZON",
                batch_size=_BATCH_SIZE,
                on_partial_batch_item_failure="AUTOMATIC_BISECT",
            ),
            filter_criteria=pipes.CfnPipe.FilterCriteriaProperty(
                filters=[pipes.CfnPipe.FilterProperty(pattern=json.dumps(pattern)) for pattern in _patterns()]
            ),
        ),
        target=target,
        target_parameters=pipes.CfnPipe.PipeTargetParametersProperty(
            input_template=_template(), event_bridge_event_bus_parameters=bus_parameters
        ),
    )
    return NoticesPipe(pipe, role)


def _patterns() -> tuple[dict[str, Any], ...]:
    """New records with a final status, and changes to one. Other changes of a final record are not notices."""
    became = {"status": {"S": [*FINAL]}}
    return (
        {"eventName": ["INSERT"], "dynamodb": {"NewImage": became}},
        {
            "eventName": ["MODIFY"],
            "dynamodb": {"NewImage": became, "OldImage": {"status": {"S": [{"anything-but": [*FINAL]}]}}},
        },
    )


def _template() -> str:
    """The notice. All values are strings, because DynamoDB writes numbers as strings too.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html
    """
    return json.dumps({name: f"<$.dynamodb.NewImage.{name}.{kind}>" for name, kind in _MEMBERS.items()})
