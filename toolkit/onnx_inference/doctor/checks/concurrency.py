"""Provisioned and reserved concurrency."""

from collections.abc import Iterator

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import ALIAS, VERSION, Resource, Template, mappings

_PROVISIONED = "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html"


def provisioned(template: Template) -> Iterator[tuple[Resource, Resource]]:
    """Each alias or version that has provisioned concurrency, by itself or by scaling, with its function."""
    scaled = {
        found.logical_id
        for target in _scalable_targets(template)
        if (found := template.referred(target.value("ResourceId"), ALIAS)) is not None
    }
    for qualifier in template.resources(ALIAS, VERSION):
        function = template.function_behind(qualifier)
        if function is not None and (qualifier.value("ProvisionedConcurrencyConfig") or qualifier.logical_id in scaled):
            yield qualifier, function


def _scalable_targets(template: Template) -> Iterator[Resource]:
    for target in template.resources("AWS::ApplicationAutoScaling::ScalableTarget"):
        if target.value("ServiceNamespace") == "lambda":
            yield target


def _unqualified(template: Template) -> Iterator[Finding]:
    paid_for = {function.logical_id: qualifier.logical_id for qualifier, function in provisioned(template)}
    for invoker, location, value in _invokers(template):
        function, qualified = template.function_of(value)
        if function is None or qualified or function.logical_id not in paid_for:
            continue
        yield Finding.at(
            invoker,
            code="provisioned-concurrency-bypassed",
            severity="error",
            location=location,
            got=f"the function {function.logical_id} itself",
            allowed=f"{paid_for[function.logical_id]}, which has the provisioned concurrency",
            fix="Invoke it instead: requests to the function itself meet cold starts, while the provisioned "
            "environments are idle and cost money.",
        )


def _invokers(template: Template) -> Iterator[tuple[Resource, str, object]]:
    for resource in template.resources():
        match resource.type:
            case "AWS::Lambda::EventSourceMapping":
                yield resource, "FunctionName", resource.value("FunctionName")
            case "AWS::ApiGatewayV2::Integration":
                yield resource, "IntegrationUri", resource.value("IntegrationUri")
            case "AWS::ApiGateway::Method":
                yield resource, "Integration.Uri", resource.value("Integration", "Uri")
            case "AWS::Lambda::Url":
                if resource.value("Qualifier") is None:
                    yield resource, "TargetFunctionArn", resource.value("TargetFunctionArn")
            case "AWS::Scheduler::Schedule":
                yield resource, "Target.Arn", resource.value("Target", "Arn")
            case "AWS::Events::Rule":
                for number, target in enumerate(mappings(resource.value("Targets"))):
                    yield resource, f"Targets.{number}.Arn", target.get("Arn")
            case "AWS::SNS::Subscription":
                yield resource, "Endpoint", resource.value("Endpoint")


def _weights(template: Template) -> Iterator[Finding]:
    for alias, _ in provisioned(template):
        if alias.value("RoutingConfig", "AdditionalVersionWeights"):
            yield Finding.at(
                alias,
                code="provisioned-concurrency-with-weights",
                severity="error",
                location="RoutingConfig.AdditionalVersionWeights",
                got="weights on an alias with provisioned concurrency",
                allowed="one of the two",
                fix="Remove the weights, and let CodeDeploy shift the traffic: Lambda refuses the update, and "
                "the rollback fails too.",
            )


def _minimum(template: Template) -> Iterator[Finding]:
    for target in _scalable_targets(template):
        capacities = [("MinCapacity", target.value("MinCapacity"))]
        for number, action in enumerate(mappings(target.value("ScheduledActions"))):
            path = f"ScheduledActions.{number}.ScalableTargetAction.MinCapacity"
            capacities += [(path, found.get("MinCapacity")) for found in mappings(action.get("ScalableTargetAction"))]
        for location, capacity in capacities:
            if capacity == 0:
                yield Finding.at(
                    target,
                    code="provisioned-concurrency-minimum",
                    severity="error",
                    location=location,
                    got="0",
                    allowed="1 or more",
                    fix="Raise it: scaling to 0 removes the configuration, and the next deployment fails with "
                    "ProvisionedConcurrencyConfigNotFoundException.",
                )


def _reserved(template: Template) -> Iterator[Finding]:
    for qualifier, function in provisioned(template):
        name = "ProvisionedConcurrentExecutions"
        count = qualifier.number("ProvisionedConcurrencyConfig", name, default=0)
        reserved = function.value("ReservedConcurrentExecutions")
        if isinstance(reserved, int) and count is not None and count > reserved:
            yield Finding.at(
                qualifier,
                code="provisioned-above-reserved",
                severity="error",
                location=f"ProvisionedConcurrencyConfig.{name}",
                got=f"{count:g}",
                allowed=f"at most {reserved}, the reserved concurrency of {function.logical_id}",
                fix="Reserve more, or provision less: Lambda refuses it.",
            )


CHECKS = (
    Check(
        code="provisioned-concurrency-bypassed",
        title="what has provisioned concurrency is invoked by the alias that has it",
        why="Requests meet cold starts, and the provisioned environments cost money for nothing.",
        source=_PROVISIONED,
        find=_unqualified,
    ),
    Check(
        code="provisioned-concurrency-with-weights",
        title="an alias has provisioned concurrency or weights, not both",
        why="Lambda refuses the update, and its rollback.",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html",
        find=_weights,
    ),
    Check(
        code="provisioned-concurrency-minimum",
        title="provisioned concurrency is not scaled to 0",
        why="The next deployment fails.",
        source="https://github.com/aws/aws-cdk/issues/29992",
        find=_minimum,
    ),
    Check(
        code="provisioned-above-reserved",
        title="no more concurrency is provisioned than is reserved",
        why="Lambda refuses it.",
        source=_PROVISIONED,
        find=_reserved,
    ),
)
