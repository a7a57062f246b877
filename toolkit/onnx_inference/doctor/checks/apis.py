"""APIs in front of functions."""

from collections.abc import Iterator

from onnx_inference.doctor.finding import Check, Finding
from onnx_inference.doctor.template import Template

_HTTP_API_SECONDS = 30
_REST_API_SECONDS = 29


def _timeouts(template: Template) -> Iterator[Finding]:
    said = set()
    for integration in template.resources("AWS::ApiGatewayV2::Integration", "AWS::ApiGateway::Method"):
        if integration.type == "AWS::ApiGatewayV2::Integration":
            kind, location, uri = "an HTTP API", "TimeoutInMillis", integration.value("IntegrationUri")
            waits = integration.number("TimeoutInMillis", default=_HTTP_API_SECONDS * 1000)
        else:
            kind, location, uri = "a REST API", "Integration.TimeoutInMillis", integration.value("Integration", "Uri")
            waits = integration.number("Integration", "TimeoutInMillis", default=_REST_API_SECONDS * 1000)
        function, _ = template.function_of(uri)
        timeout = None if function is None else function.number("Timeout", default=3)
        if function is None or timeout is None or waits is None or timeout <= waits / 1000:
            continue
        if (function.logical_id, kind) in said:  # an API has an integration for each route
            continue
        said.add((function.logical_id, kind))
        yield Finding.at(
            function,
            code="api-timeout",
            severity="warning",
            location="Timeout",
            got=f"{timeout:g} seconds, behind {kind} that waits {waits / 1000:g} ({integration.logical_id}.{location})",
            allowed=f"at most {waits / 1000:g} seconds",
            fix="Lower it, or process long requests asynchronously: by then the caller has received a 503 or 504, and "
            "the function still runs and costs money.",
        )


CHECKS = (
    Check(
        code="api-timeout",
        title="a function ends before the API in front of it gives up",
        why="The caller gets an error, and the function runs on.",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html",
        find=_timeouts,
    ),
)
