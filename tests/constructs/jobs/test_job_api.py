"""The API of jobs: a new one, or an existing one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack, Token

from cdk_onnx_inference import (
    ApiAuth,
    ApiType,
    AsyncInference,
    Cors,
    InferenceApi,
    InferenceFunction,
    JobApi,
    ModelSource,
)
from cdk_onnx_inference.api._routes import JOB_ROUTES, ROUTES
from tests.constructs.conftest import routes
from tests.constructs.jobs.conftest import Make, reference, template
from tests.support import synth


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
