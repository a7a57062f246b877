"""Queues and a table's stream, with every setting of what carries their events."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_pipes as pipes
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import SqsEventSource
from aws_cdk.aws_logs import CfnQueryDefinition

IMAGE = str(Path(__file__).resolve().parent / "image")

app = App()
stack = Stack(app, "EventSources")
enabled = app.node.try_get_context("enabled") != "no"
parked = sqs.Queue(stack, "Parked")
CfnOutput(stack, "ParkedQueue", value=parked.queue_url)


def consumed(name: str, *, visibility: int = 2, reserved: int | None = None, **settings: object) -> None:
    """A queue, and a function that takes its messages through its alias."""
    function = lambda_.DockerImageFunction(
        stack,
        name,
        code=lambda_.DockerImageCode.from_image_asset(IMAGE),
        timeout=Duration.seconds(min(visibility, 10)),
        memory_size=256,
        reserved_concurrent_executions=reserved,
    )
    queue = sqs.Queue(
        stack,
        f"{name}Queue",
        visibility_timeout=Duration.seconds(visibility),
        dead_letter_queue=sqs.DeadLetterQueue(queue=parked, max_receive_count=3),
    )
    function.add_alias("live").add_event_source(SqsEventSource(queue, **settings))
    CfnOutput(stack, f"{name}Url", value=queue.queue_url)
    CfnOutput(stack, f"{name}Name", value=function.function_name)


consumed("Plain")
consumed("Partial", report_batch_item_failures=True)
consumed("Window", visibility=30, batch_size=200, max_batching_window=Duration.seconds(2))
consumed("Limited", visibility=30, batch_size=1, max_concurrency=2)
consumed("Throttled", visibility=30, batch_size=1, reserved=1)
consumed("Switched", visibility=30, enabled=enabled)
consumed(
    "Filtered",
    visibility=30,
    filters=[lambda_.FilterCriteria.filter({"body": {"kind": lambda_.FilterRule.is_equal("wanted")}})],
)

# Of a type that the embedded cloud does not know: recorded only, and kept with the state all the same.
CfnQueryDefinition(stack, "Query", name="errors", query_string="fields @message")

table = dynamodb.TableV2(
    stack,
    "Table",
    partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
    dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
    removal_policy=RemovalPolicy.DESTROY,
)
topic = sns.Topic(stack, "Topic")
told = sqs.Queue(stack, "Told")
topic.add_subscription(subscriptions.SqsSubscription(told, raw_message_delivery=True))
bus = events.EventBus(stack, "Bus")
heard = sqs.Queue(stack, "Heard")
pattern = events.EventPattern(source=["tests"], detail_type=["Finished"])
events.Rule(stack, "Rule", event_bus=bus, event_pattern=pattern, targets=[targets.SqsQueue(heard)])
role = iam.Role(stack, "PipeRole", assumed_by=iam.ServicePrincipal("pipes.amazonaws.com"))
FINISHED = '{"dynamodb": {"NewImage": {"status": {"S": ["SUCCEEDED", {"prefix": "FAIL"}]}}}}'
TEMPLATE = '{"id": <$.dynamodb.NewImage.id.S>, "text": "job <$.dynamodb.NewImage.id.S> of <aws.pipes.pipe-name>"}'


def pipe(name: str, target: str, parameters: pipes.CfnPipe.PipeTargetParametersProperty) -> None:
    pipes.CfnPipe(
        stack,
        name,
        role_arn=role.role_arn,
        source=table.table_stream_arn,
        target=target,
        source_parameters=pipes.CfnPipe.PipeSourceParametersProperty(
            dynamo_db_stream_parameters=pipes.CfnPipe.PipeSourceDynamoDBStreamParametersProperty(
                starting_position="LATEST"
            ),
            filter_criteria=pipes.CfnPipe.FilterCriteriaProperty(
                filters=[pipes.CfnPipe.FilterProperty(pattern=FINISHED)]
            ),
        ),
        target_parameters=parameters,
    )


pipe("ToTopic", topic.topic_arn, pipes.CfnPipe.PipeTargetParametersProperty(input_template=TEMPLATE))
pipe(
    "ToBus",
    bus.event_bus_arn,
    pipes.CfnPipe.PipeTargetParametersProperty(
        input_template=TEMPLATE,
        event_bridge_event_bus_parameters=pipes.CfnPipe.PipeTargetEventBridgeEventBusParametersProperty(
            detail_type="Finished", source="tests"
        ),
    ),
)
CfnOutput(stack, "TableName", value=table.table_name)
CfnOutput(stack, "ToldUrl", value=told.queue_url)
CfnOutput(stack, "HeardUrl", value=heard.queue_url)
app.synth()
