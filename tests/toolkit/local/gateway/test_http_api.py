"""HTTP APIs in front of a function that is not there."""

import base64
import json
import time

import pytest

from onnx_inference.local.gateway.cors import Cors
from onnx_inference.local.gateway.http_api import HttpApi, HttpApiDefinition, HttpApiRoute, HttpApiStage
from onnx_inference.local.gateway.jwt_authorizer import JwtAuthorizer, TokenRejected
from onnx_inference.local.gateway.signature_v4 import SignatureVerifier
from onnx_inference.local.lambda_host.invocation import NotServed, RequestEntityTooLarge, TooManyRequests
from tests.toolkit.local.gateway.conftest import ACCOUNT, FUNCTION, RECORD, REGION, message


@pytest.fixture
def http_api(function, credentials):
    def make(*routes, enforce_auth=True, cors=None, stages=None):
        given = routes or (HttpApiRoute("ANY /{proxy+}", FUNCTION),)
        definition = HttpApiDefinition(
            "api",
            "Api",
            ACCOUNT,
            REGION,
            {route.key: route for route in given},
            stages or {"$default": HttpApiStage("$default")},
            cors,
        )
        return HttpApi(definition, function, SignatureVerifier(credentials, "execute-api"), enforce_auth=enforce_auth)

    return make


def test_an_http_api_hands_on_the_request(http_api, function, make_request):
    response = http_api().answer(make_request("POST", "/v2/models/m%20n/infer?x=1", body=b"\x00"))
    assert (response.status, response.body) == (200, b"ok")
    assert response.invocation == RECORD
    (event,) = function.events
    assert event["routeKey"] == "ANY /{proxy+}"
    assert event["rawPath"] == "/v2/models/m%20n/infer"
    assert event["pathParameters"] == {"proxy": "v2/models/m n/infer"}
    assert event["isBase64Encoded"] is True


def test_named_stages_come_before_the_path(http_api, function, make_request):
    stages = {name: HttpApiStage(name, {"v": name}) for name in ("beta", "$default")}
    api = http_api(stages=stages)
    assert api.answer(make_request(target="/beta/a")).status == 200
    assert api.answer(make_request(target="/a")).status == 200
    beta, default = function.events
    assert (beta["rawPath"], beta["requestContext"]["stage"]) == ("/beta/a", "beta")
    assert beta["pathParameters"] == {"proxy": "a"}
    assert beta["stageVariables"] == {"v": "beta"}
    assert (default["rawPath"], default["requestContext"]["stage"]) == ("/a", "$default")


def test_no_route_is_not_found(http_api, make_request):
    api = http_api(HttpApiRoute("GET /only", FUNCTION))
    assert message(api.answer(make_request(target="/other"))) == (404, {"message": "Not Found"})
    assert message(api.answer(make_request("POST", "/only"))) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    ("error", "answer", "expected"),
    [
        ("Unhandled", {}, (500, "Internal Server Error")),
        (None, {"statusCode": "x"}, (500, "Internal Server Error")),
        (TooManyRequests("Rate Exceeded."), {}, (503, "Service Unavailable")),
        (RequestEntityTooLarge("too large"), {}, (413, "Request Entity Too Large")),
        (NotServed("why not"), {}, (501, "why not")),
    ],
)
def test_an_http_apis_errors(http_api, function, make_request, error, answer, expected):
    function.error, function.answer = error, answer
    assert message(http_api().answer(make_request(target="/a"))) == (expected[0], {"message": expected[1]})


def test_an_http_api_does_not_wait_for_ever(http_api, function, make_request):
    function.seconds = 1
    api = http_api(HttpApiRoute("$default", FUNCTION, timeout_seconds=0.05))
    assert message(api.answer(make_request())) == (503, {"message": "Service Unavailable"})


def test_an_http_api_with_format_1(http_api, function, make_request):
    api = http_api(HttpApiRoute("GET /a/{id}", FUNCTION, payload_format="1.0"))
    assert api.answer(make_request(target="/a/7")).status == 200
    (event,) = function.events
    assert (event["version"], event["resource"], event["path"]) == ("1.0", "/a/{id}", "/a/7")
    assert event["pathParameters"] == {"id": "7"}
    function.answer = {"message": "no statusCode"}
    assert api.answer(make_request(target="/a/7")).status == 500


def test_iam_routes_want_a_signature(http_api, function, make_request, sign, credentials):
    api = http_api(HttpApiRoute("$default", FUNCTION, authorization="AWS_IAM"))
    assert message(api.answer(make_request("POST", "/a", body=b"b"))) == (403, {"message": "Forbidden"})
    headers = {"Host": "127.0.0.1:8080", **sign(credentials, "POST", "http://127.0.0.1:8080/a", b"b")}
    assert api.answer(make_request("POST", "/a", headers=headers, body=b"b")).status == 200
    assert message(api.answer(make_request("POST", "/a", headers=headers, body=b"c"))) == (
        403,
        {"message": "Forbidden"},
    )
    (event,) = function.events
    assert event["requestContext"]["authorizer"]["iam"]["accountId"] == ACCOUNT
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == credentials.access_key_id


def test_no_auth_lets_everything_through(http_api, make_request):
    api = http_api(HttpApiRoute("$default", FUNCTION, authorization="AWS_IAM"), enforce_auth=False)
    assert api.answer(make_request()).status == 200


def token(**claims):
    values = {"iss": "https://issuer", "aud": "app", "exp": time.time() + 60, **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, values)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "c2ln"])


def test_jwt_routes_check_what_can_be_checked_offline(http_api, function, make_request):
    jwt = JwtAuthorizer("https://issuer", ("app",))
    api = http_api(HttpApiRoute("$default", FUNCTION, authorization="JWT", scopes=("infer",), jwt=jwt))

    def status(given):
        return api.answer(make_request(headers={"Authorization": given})).status

    assert api.answer(make_request()).status == 401
    assert status(f"Bearer {token(scope='infer other')}") == 200
    assert status(token(scp=["infer"])) == 200
    assert status(f"Bearer {token(scope='other')}") == 403
    for bad in (
        token(iss="https://else"),
        token(aud="else"),
        token(aud=[["app"]]),
        token(exp=1),
        token(nbf=time.time() + 60),
        "a.b",
        "x",
    ):
        assert status(f"Bearer {bad}") == 401
    assert function.events[0]["requestContext"]["authorizer"]["jwt"]["claims"]["iss"] == "https://issuer"
    assert message(api.answer(make_request())) == (401, {"message": "Unauthorized"})


def test_a_token_in_the_query(make_request):
    jwt = JwtAuthorizer("https://issuer", ("app",), "$request.querystring.auth")
    assert jwt.authorise(make_request(target=f"/?auth={token()}"), ())["aud"] == "app"
    with pytest.raises(TokenRejected):
        jwt.authorise(make_request(), ())


def test_stages_throttle_by_route(http_api, make_request):
    limits = {None: (0.001, 2), "GET /free": (1000.0, 1000)}
    api = http_api(
        HttpApiRoute("$default", FUNCTION),
        HttpApiRoute("GET /free", FUNCTION),
        stages={"$default": HttpApiStage("$default", limits=limits)},
    )
    assert [api.answer(make_request()).status for _ in range(3)] == [200, 200, 429]
    assert message(api.answer(make_request())) == (429, {"message": "Too Many Requests"})
    assert {api.answer(make_request(target="/free")).status for _ in range(5)} == {200}


def test_cors_answers_preflights_without_the_function(http_api, function, make_request):
    cors = Cors(("https://site",), ("POST",), ("content-type",), ("x-id",), False, 60)
    api = http_api(HttpApiRoute("$default", FUNCTION, authorization="AWS_IAM"), cors=cors)
    asked = {"Origin": "https://site", "Access-Control-Request-Method": "POST"}
    response = api.answer(make_request("OPTIONS", "/a", headers=asked))
    headers = dict(response.headers)
    assert response.status == 204
    assert headers["access-control-allow-origin"] == "https://site"
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-max-age"] == "60"
    assert function.events == []
    refused = api.answer(make_request("POST", "/a", headers={"Origin": "https://site"}))
    assert refused.status == 403
    assert dict(refused.headers)["access-control-expose-headers"] == "x-id"
    other = api.answer(make_request("OPTIONS", "/a", headers={**asked, "Origin": "https://other"}))
    assert "access-control-allow-origin" not in dict(other.headers)
