"""An app whose functions are kept warm in every way that CloudFormation knows."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, Stack, TimeZone
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from aws_cdk import aws_sqs as sqs

IMAGE = str(Path(__file__).resolve().parent / "image")
PING = {"source": "cdk-onnx-inference.warmer", "hold_ms": 300, "touch": False}

app = App()
stack = Stack(app, "Warm")


def function(name: str, command: str, **options: object) -> lambda_.Alias:
    made = lambda_.DockerImageFunction(
        stack, name, code=lambda_.DockerImageCode.from_image_asset(IMAGE, cmd=[command]), memory_size=256, **options
    )
    CfnOutput(stack, f"{name}Name", value=made.function_name)
    return lambda_.Alias(stack, f"{name}Live", alias_name="live", version=made.current_version)


def schedule(name: str, alias: lambda_.IFunction, when: scheduler.ScheduleExpression, **options: object) -> None:
    target = scheduler_targets.LambdaInvoke(
        alias,
        input=scheduler.ScheduleTargetInput.from_object(PING),
        retry_attempts=0,
        max_event_age=Duration.minutes(1),
    )
    scheduler.Schedule(stack, name, schedule_name=name, schedule=when, target=target, **options)


warmed = function("Warmed", "handlers.hold")
for number in range(2):
    schedule(f"ping-{number}", warmed, scheduler.ScheduleExpression.rate(Duration.minutes(5)))
schedule(
    "morning",
    warmed,
    scheduler.ScheduleExpression.cron(minute="0", hour="8", time_zone=TimeZone.EUROPE_BERLIN),
)
schedule("off", warmed, scheduler.ScheduleExpression.rate(Duration.minutes(1)), enabled=False)

ruled = function("Ruled", "handlers.hold")
rule_input = events.RuleTargetInput.from_object(PING)
events.Rule(
    stack,
    "Rule",
    rule_name="rule",
    schedule=events.Schedule.rate(Duration.minutes(10)),
    targets=[
        targets.LambdaFunction(ruled, event=rule_input, retry_attempts=0, max_event_age=Duration.minutes(1))
        for _ in range(2)
    ],
)
queue = sqs.Queue(stack, "Queue")
CfnOutput(stack, "QueueUrl", value=queue.queue_url)
events.Rule(
    stack,
    "ToQueue",
    rule_name="to-queue",
    schedule=events.Schedule.cron(minute="30"),
    targets=[targets.SqsQueue(queue)],
)

provisioned = function("Provisioned", "handlers.hold")
provisioned.node.default_child.provisioned_concurrency_config = {"provisionedConcurrentExecutions": 1}
target = provisioned.add_auto_scaling(min_capacity=1, max_capacity=3)
target.scale_on_schedule(
    "Open",
    schedule=scaling.Schedule.cron(hour="8", minute="0"),
    min_capacity=2,
    max_capacity=3,
    time_zone=TimeZone.EUROPE_BERLIN,
)
target.scale_on_schedule(
    "Close",
    schedule=scaling.Schedule.cron(hour="20", minute="0"),
    min_capacity=1,
    max_capacity=1,
    time_zone=TimeZone.EUROPE_BERLIN,
)
if app.node.try_get_context("tracking"):
    target.scale_on_utilization(utilization_target=0.5)

fails = {"FAIL": app.node.try_get_context("fail") or ""}
function("Snap", "snapshot.handler", snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS, environment=fails)
app.synth()
