from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Aws, Duration, Stack, Stage, Token
from aws_cdk import assertions as cdk_assertions
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from cdk_onnx_inference import ApiAuth, ApiType, Cors, InferenceApi, InferenceFunction, ModelSource, Throttle
from cdk_onnx_inference.api._routes import ROUTES
from tests.constructs.conftest import Codes, routes
from tests.support import synth

HTTP, REST = ApiType.http_api(), ApiType.rest_api()


@pytest.fixture
def function(stack: Stack, model: ModelSource) -> InferenceFunction:
    """A function to publish."""
    return InferenceFunction(stack, "Digits", model=model)


def template(function: InferenceFunction, **options: Any) -> synth.Template:
    stack = Stack.of(function)
    InferenceApi(stack, "Api", function=function, **options)
    return synth.template_of(stack)


def stage(made: synth.Template) -> dict[str, Any]:
    resource_type = (
        "AWS::ApiGateway::Stage" if synth.resources_of(made, "AWS::ApiGateway::Stage") else "AWS::ApiGatewayV2::Stage"
    )
    return synth.only(made, resource_type)


def notes(stack: Stack) -> list[str]:
    of = cdk_assertions.Annotations.from_stack(stack)
    anything = cdk_assertions.Match.any_value()
    return [str(found.entry.data) for found in [*of.find_warning("*", anything), *of.find_info("*", anything)]]


@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_routes_are_exactly_the_protocols(function: InferenceFunction, api_type: Any) -> None:
    assert routes(template(function, api_type=api_type)) == sorted(ROUTES)


@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_one_permission_on_the_alias_for_all_routes(function: InferenceFunction, api_type: Any) -> None:
    made = template(function, api_type=api_type)
    permission = synth.only(made, "AWS::Lambda::Permission")
    assert permission["FunctionName"] == Stack.of(function).resolve(function.alias.function_arn)
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert ":execute-api:" in json.dumps(permission["SourceArn"])


def test_an_http_api_by_default(function: InferenceFunction) -> None:
    made = template(function)
    assert len(synth.resources_of(made, "AWS::ApiGatewayV2::Api")) == 1
    assert not synth.resources_of(made, "AWS::ApiGateway::RestApi")
    assert synth.only(made, "AWS::ApiGatewayV2::Integration")["PayloadFormatVersion"] == "2.0"


def test_iam_by_default(function: InferenceFunction) -> None:
    made = template(function)
    types = {route["Properties"]["AuthorizationType"] for route in synth.resources_of(made, "AWS::ApiGatewayV2::Route")}
    assert types == {"AWS_IAM"}


def test_iam_by_default_of_a_rest_api(function: InferenceFunction) -> None:
    methods = synth.resources_of(template(function, api_type=REST), "AWS::ApiGateway::Method")
    assert {method["Properties"]["AuthorizationType"] for method in methods} == {"AWS_IAM"}


@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_no_auth_keeps_its_reason_in_the_template(function: InferenceFunction, api_type: Any) -> None:
    made = template(function, api_type=api_type, auth=ApiAuth.none(reason="the load test's own account"))
    resource_type = "AWS::ApiGatewayV2::Api" if api_type == HTTP else "AWS::ApiGateway::RestApi"
    assert synth.only(made, resource_type)["Description"] == (
        "Open Inference Protocol v2, Shop/Digits. No authentication: the load test's own account"
    )
    method_type = "AWS::ApiGatewayV2::Route" if api_type == HTTP else "AWS::ApiGateway::Method"
    assert {made["Properties"]["AuthorizationType"] for made in synth.resources_of(made, method_type)} == {"NONE"}


def test_jwt(function: InferenceFunction) -> None:
    auth = ApiAuth.jwt(issuer="https://issuer.example.com", audience=["shop"], scopes=["infer"])
    made = template(function, auth=auth)
    assert synth.only(made, "AWS::ApiGatewayV2::Authorizer")["JwtConfiguration"] == {
        "Audience": ["shop"],
        "Issuer": "https://issuer.example.com",
    }
    for route in synth.resources_of(made, "AWS::ApiGatewayV2::Route"):
        assert route["Properties"]["AuthorizationType"] == "JWT"
        assert route["Properties"]["AuthorizationScopes"] == ["infer"]


def test_jwt_without_scopes_and_with_one_audience(function: InferenceFunction) -> None:
    made = template(function, auth=ApiAuth.jwt(issuer="https://issuer.example.com", audience="shop"))
    assert synth.only(made, "AWS::ApiGatewayV2::Authorizer")["JwtConfiguration"]["Audience"] == ["shop"]
    assert "AuthorizationScopes" not in synth.resources_of(made, "AWS::ApiGatewayV2::Route")[0]["Properties"]


def test_api_key_has_a_plan_with_the_throttle(function: InferenceFunction) -> None:
    stack = Stack.of(function)
    api = InferenceApi(stack, "Api", function=function, api_type=REST, auth=ApiAuth.api_key(), throttle=Throttle(5, 10))
    made = synth.template_of(stack)
    assert api.api_key is not None
    assert api.usage_plan is not None
    assert synth.only(made, "AWS::ApiGateway::UsagePlan")["Throttle"] == {"RateLimit": 5, "BurstLimit": 10}
    assert len(synth.resources_of(made, "AWS::ApiGateway::UsagePlanKey")) == 1
    for method in synth.resources_of(made, "AWS::ApiGateway::Method"):
        assert method["Properties"]["ApiKeyRequired"] is True


def test_no_key_otherwise(function: InferenceFunction) -> None:
    api = InferenceApi(Stack.of(function), "Api", function=function, api_type=REST)
    assert api.api_key is None
    assert api.usage_plan is None


def test_throttle_by_default(function: InferenceFunction) -> None:
    assert stage(template(function))["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": 100,
        "ThrottlingBurstLimit": 200,
    }


def test_throttle_of_a_rest_api(function: InferenceFunction) -> None:
    made = template(function, api_type=REST, throttle=Throttle(rate_limit=0.5, burst_limit=1))
    (settings,) = stage(made)["MethodSettings"]
    assert (settings["HttpMethod"], settings["ResourcePath"]) == ("*", "/*")
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (0.5, 1)


@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_access_log_is_json_in_a_group_that_is_kept(function: InferenceFunction, api_type: Any) -> None:
    made = template(function, api_type=api_type)
    settings = stage(made).get("AccessLogSettings") or stage(made)["AccessLogSetting"]
    assert json.loads(settings["Format"])["requestId"] == "$context.requestId"
    (group_id,) = (
        name
        for name, resource in made["Resources"].items()
        if resource["Type"] == "AWS::Logs::LogGroup" and name.startswith("ApiAccessLog")
    )
    assert group_id in json.dumps(settings["DestinationArn"])
    group = made["Resources"][group_id]
    assert (group["DeletionPolicy"], group["Properties"]) == ("Retain", {"RetentionInDays": 30})


@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_access_log_goes_where_it_is_told(function: InferenceFunction, api_type: Any) -> None:
    stack = Stack.of(function)
    group = logs.LogGroup.from_log_group_name(stack, "Logs", "central")
    made = template(function, api_type=api_type, access_log_group=group)
    settings = stage(made).get("AccessLogSettings") or stage(made)["AccessLogSetting"]
    assert "central" in json.dumps(settings["DestinationArn"])
    assert len(synth.resources_of(made, "AWS::Logs::LogGroup")) == 1


def test_a_rest_api_passes_binary_bodies_and_traces(function: InferenceFunction) -> None:
    made = template(function, api_type=REST)
    api = synth.only(made, "AWS::ApiGateway::RestApi")
    assert api["BinaryMediaTypes"] == ["*/*"]
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert stage(made)["TracingEnabled"] is True
    assert stage(made)["StageName"] == "live"


def test_a_rest_api_leaves_the_accounts_settings_alone(function: InferenceFunction) -> None:
    made = template(function, api_type=REST)
    assert not synth.resources_of(made, "AWS::ApiGateway::Account")
    assert [line for line in notes(Stack.of(function)) if "cdk-onnx-inference:api-log-role" in line]


def test_a_rest_api_sets_the_accounts_log_role_when_told(function: InferenceFunction) -> None:
    made = template(function, api_type=ApiType.rest_api(account_log_role=True))
    assert len(synth.resources_of(made, "AWS::ApiGateway::Account")) == 1
    assert not [line for line in notes(Stack.of(function)) if "cdk-onnx-inference:api-log-role" in line]


def test_a_rest_api_waits_as_long_as_it_is_told(function: InferenceFunction) -> None:
    made = template(function, api_type=ApiType.rest_api(integration_timeout=Duration.seconds(60), stage_name="v1"))
    for method in synth.resources_of(made, "AWS::ApiGateway::Method"):
        assert method["Properties"]["Integration"]["TimeoutInMillis"] == 60_000
    assert stage(made)["StageName"] == "v1"


def test_url_of_an_http_api(stack: Stack, function: InferenceFunction) -> None:
    api = InferenceApi(stack, "Api", function=function)
    assert isinstance(api.api, apigatewayv2.HttpApi)
    child = api.api.node.default_child
    assert isinstance(child, apigatewayv2.CfnApi)
    assert stack.resolve(api.url) == {"Fn::GetAtt": [stack.get_logical_id(child), "ApiEndpoint"]}


def test_url_of_a_rest_api_has_its_stage_and_no_slash_at_the_end(stack: Stack, function: InferenceFunction) -> None:
    api = InferenceApi(stack, "Api", function=function, api_type=REST)
    assert isinstance(api.api, apigateway.RestApi)
    parts = stack.resolve(api.url)["Fn::Join"][1]
    assert parts[0] == "https://"
    assert ".execute-api." in parts
    child = api.stage.node.default_child
    assert isinstance(child, apigateway.CfnStage)
    assert parts[-1] == {"Ref": stack.get_logical_id(child)}


def test_the_two_kinds_have_different_logical_ids(stack: Stack, function: InferenceFunction) -> None:
    """CloudFormation cannot change the type of a resource."""
    http = InferenceApi(stack, "Http", function=function)
    rest = InferenceApi(stack, "Rest", function=function, api_type=REST)
    assert http.api.node.id != rest.api.node.id
    assert http.stage.node.id != rest.stage.node.id


@pytest.mark.parametrize(("api_type", "stage_name"), [(HTTP, "$default"), (REST, "Ref")])
def test_grant_invoke_is_on_the_stage(
    stack: Stack, function: InferenceFunction, api_type: Any, stage_name: str
) -> None:
    api = InferenceApi(stack, "Api", function=function, api_type=api_type)
    assert api.grant_invoke(iam.User(stack, "User")).success
    (policy,) = (
        made["Properties"]
        for made in synth.resources_of(synth.template_of(stack), "AWS::IAM::Policy")
        if made["Properties"].get("Users")
    )
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    assert stage_name in json.dumps(statement["Resource"])


def test_no_cors_by_default(function: InferenceFunction) -> None:
    assert "CorsConfiguration" not in synth.only(template(function), "AWS::ApiGatewayV2::Api")


def test_cors(function: InferenceFunction) -> None:
    cors = Cors(allow_origins=["https://app.example.com"], max_age=Duration.hours(1))
    assert synth.only(template(function, cors=cors), "AWS::ApiGatewayV2::Api")["CorsConfiguration"] == {
        "AllowOrigins": ["https://app.example.com"],
        "AllowMethods": ["DELETE", "GET", "POST", "PUT"],
        "AllowHeaders": [
            "authorization",
            "content-type",
            "idempotency-key",
            "inference-header-content-length",
            "job-timeout",
            "x-amz-date",
            "x-amz-security-token",
        ],
        "ExposeHeaders": ["inference-header-content-length", "location", "retry-after"],
        "MaxAge": 3600,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"auth": ApiAuth.none(reason=" ")}, ["reason-missing"]),
        ({"auth": ApiAuth.api_key()}, ["auth-unsupported"]),
        (
            {"api_type": REST, "auth": ApiAuth.jwt(issuer="https://issuer.example.com", audience=["shop"])},
            ["auth-unsupported"],
        ),
        ({"auth": ApiAuth.jwt(issuer="http://issuer.example.com", audience=["shop"])}, ["jwt-issuer"]),
        ({"auth": ApiAuth.jwt(issuer="https://issuer.example.com", audience=[])}, ["jwt-audience"]),
        ({"throttle": Throttle(rate_limit=0)}, ["throttle-rate"]),
        ({"throttle": Throttle(burst_limit=0)}, ["throttle-burst"]),
        ({"throttle": Throttle(burst_limit=1.5)}, ["throttle-burst"]),  # type: ignore[arg-type]
        ({"api_type": REST, "cors": Cors(allow_origins=["*"])}, ["cors-unsupported"]),
        ({"cors": Cors(allow_origins=[])}, ["cors-origins"]),
        ({"cors": Cors(allow_origins="https://app.example.com")}, ["cors-origins"]),
        ({"cors": Cors(allow_origins=["https://app.example.com/path"])}, ["cors-origins"]),
        ({"cors": Cors(allow_origins=["*", "https://app.example.com"])}, ["cors-origins"]),
        ({"api_type": ApiType.rest_api(stage_name="a/b")}, ["stage-name"]),
        ({"api_type": ApiType.rest_api(stage_name=Aws.REGION)}, ["stage-name"]),
        ({"api_type": ApiType.rest_api(integration_timeout=Duration.millis(49))}, ["api-timeout-range"]),
        ({"api_type": ApiType.rest_api(integration_timeout=Duration.minutes(16))}, ["api-timeout-range"]),
        ({"api_type": ApiType.rest_api(integration_timeout=29)}, ["api-timeout-range"]),  # type: ignore[arg-type]
        (
            {
                "api_type": ApiType.rest_api(stage_name="", integration_timeout=Duration.millis(1)),
                "auth": ApiAuth.jwt(issuer="", audience=[]),
                "throttle": Throttle(0, 0),
                "cors": Cors(allow_origins=[]),
            },
            [
                "stage-name",
                "api-timeout-range",
                "auth-unsupported",
                "jwt-issuer",
                "jwt-audience",
                "throttle-rate",
                "throttle-burst",
                "cors-unsupported",
                "cors-origins",
            ],
        ),
    ],
)
def test_fails_on(function: InferenceFunction, codes: Codes, options: dict[str, Any], expected: list[str]) -> None:
    assert codes(lambda: InferenceApi(Stack.of(function), "Api", function=function, **options)) == expected


def test_values_that_are_known_at_deployment_pass(stack: Stack, function: InferenceFunction) -> None:
    number, text = Token.as_number({"Ref": "Number"}), Token.as_string({"Ref": "Text"})
    throttle = Throttle(rate_limit=number, burst_limit=number)  # type: ignore[arg-type]
    InferenceApi(
        stack,
        "Jwt",
        function=function,
        auth=ApiAuth.jwt(issuer=text, audience=[text]),
        throttle=throttle,
        cors=Cors(allow_origins=[text]),
    )
    InferenceApi(
        stack,
        "None",
        function=function,
        auth=ApiAuth.none(reason=f"only in {Aws.REGION}"),
        api_type=ApiType.rest_api(integration_timeout=Duration.millis(number)),
        throttle=throttle,
    )
    made = synth.template_of(stack)
    assert synth.only(made, "AWS::ApiGatewayV2::Authorizer")["JwtConfiguration"]["Issuer"] == {"Ref": "Text"}


@pytest.mark.parametrize(
    ("api_type", "timeout", "warns"),
    [
        (HTTP, Duration.seconds(30), False),
        (HTTP, Duration.seconds(31), True),
        (REST, Duration.seconds(29), False),
        (REST, Duration.seconds(30), True),
        (ApiType.rest_api(integration_timeout=Duration.seconds(60)), Duration.seconds(60), False),
        (ApiType.rest_api(integration_timeout=Duration.seconds(10)), Duration.seconds(29), True),
        (HTTP, Duration.seconds(Token.as_number({"Ref": "Number"})), False),
        (
            ApiType.rest_api(integration_timeout=Duration.millis(Token.as_number({"Ref": "Number"}))),
            Duration.seconds(900),
            False,
        ),
    ],
)
def test_warns_when_the_function_outlives_the_api(
    stack: Stack, model: ModelSource, api_type: Any, timeout: Duration, warns: bool
) -> None:
    slow = InferenceFunction(stack, "Slow", model=model, timeout=timeout)
    InferenceApi(stack, "Api", function=slow, api_type=api_type)
    found = [line for line in notes(stack) if "cdk-onnx-inference:function-outlives-api" in line]
    assert bool(found) == warns


@pytest.mark.parametrize("flags", [synth.RECOMMENDED_FLAGS, {}], ids=["recommended-flags", "no-flags"])
@pytest.mark.parametrize("api_type", [HTTP, REST])
def test_function_and_api_may_be_in_two_stacks_of_a_stage(
    tmp_path: Path, model: ModelSource, api_type: Any, flags: dict[str, Any]
) -> None:
    stage_of_app = Stage(synth.new_app(tmp_path, flags), "Prod")
    compute, edge = Stack(stage_of_app, "Compute"), Stack(stage_of_app, "Edge")
    function = InferenceFunction(compute, "Digits", model=model)
    InferenceApi(edge, "Api", function=function, api_type=api_type)
    assembly = stage_of_app.synth()
    of_compute, of_edge = (assembly.get_stack_by_name(stack.stack_name).template for stack in (compute, edge))
    assert not synth.resources_of(of_compute, "AWS::Lambda::Permission")
    assert len(synth.resources_of(of_edge, "AWS::Lambda::Permission")) == 1
