"""HTTP APIs, REST APIs and function URLs in front of a function that is not there."""

import base64
import json
import time
from datetime import UTC, datetime

import pytest

from onnx_inference.local.gateway.cors import Cors
from onnx_inference.local.gateway.function_url import FunctionUrl, FunctionUrlDefinition
from onnx_inference.local.gateway.http_api import HttpApi, HttpApiDefinition, HttpApiRoute, HttpApiStage
from onnx_inference.local.gateway.http_server import HttpResponse
from onnx_inference.local.gateway.jwt_authorizer import JwtAuthorizer, TokenRejected
from onnx_inference.local.gateway.rest_api import RestApi, RestApiDefinition, RestMethod, RestStage
from onnx_inference.local.gateway.routing import PathPattern, find_route
from onnx_inference.local.gateway.signature_v4 import SignatureVerifier
from onnx_inference.local.gateway.throttle import TokenBucket
from onnx_inference.local.gateway.usage_plans import PlannedKey, UsagePlans
from onnx_inference.local.lambda_host.function_configuration import FunctionArn
from onnx_inference.local.lambda_host.invocation import (
    InvocationRecord,
    InvocationResult,
    NotServed,
    RequestEntityTooLarge,
    TooManyRequests,
)

ACCOUNT, REGION = "000000000000", "us-east-1"
FUNCTION = FunctionArn(ACCOUNT, REGION, "f", "live")
RECORD = InvocationRecord(
    "r", str(FUNCTION), "f", "1", datetime.now(UTC), False, None, 1.0, 0.0, 128, 20, "success", None, ""
)


class Function:
    """Records the events it is invoked with, and answers what it is told to."""

    def __init__(self):
        self.events = []
        self.answer = {"statusCode": 200, "body": "ok"}
        self.error = None
        self.seconds = 0

    def __call__(self, arn, payload):
        self.events.append(json.loads(payload))
        time.sleep(self.seconds)
        if isinstance(self.error, Exception):
            raise self.error
        return InvocationResult(json.dumps(self.answer).encode(), self.error, RECORD)


@pytest.fixture
def function():
    return Function()


def message(response):
    return response.status, json.loads(response.body)


# -- HTTP APIs ------------------------------------------------------------------------------------------------------


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
    for bad in (token(iss="https://else"), token(aud="else"), token(exp=1), token(nbf=time.time() + 60), "a.b", "x"):
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


def test_the_most_specific_route_wins():
    keys = ["$default", "ANY /{proxy+}", "GET /pets/{id}", "GET /pets/dog", "ANY /pets/dog", "GET /pets/{proxy+}"]
    found = {
        path: find_route(keys, method, path).route_key
        for method, path in [
            ("GET", "/pets/dog"),
            ("GET", "/pets/1"),
            ("GET", "/pets/1/x"),
            ("PUT", "/pets/1"),
            ("GET", "/"),
        ]
    }
    assert found == {
        "/pets/dog": "GET /pets/dog",
        "/pets/1": "ANY /{proxy+}",
        "/pets/1/x": "GET /pets/{proxy+}",
        "/": "$default",
    }
    assert find_route(keys, "GET", "/pets/a%20b").path_parameters == {"id": "a b"}
    assert find_route(keys, "PUT", "/pets/dog").route_key == "ANY /pets/dog"
    assert PathPattern("/a/{b}").match("/a/") is None


def test_a_token_bucket_holds_a_burst_and_fills_at_its_rate():
    now = [0.0]
    bucket = TokenBucket(2.0, 3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


# -- REST APIs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rest_api(function, credentials):
    def make(*methods, binary=("*/*",), keys=(), stages=None, enforce_auth=True):
        definition = RestApiDefinition(
            "rest",
            "Rest",
            ACCOUNT,
            REGION,
            methods or (RestMethod("/{proxy+}", "ANY", FUNCTION),),
            stages or {"prod": RestStage("prod")},
            binary,
        )
        verifier = SignatureVerifier(credentials, "execute-api")
        return RestApi(definition, function, verifier, UsagePlans(keys), enforce_auth=enforce_auth)

    return make


def test_a_rest_api_hands_on_the_request(rest_api, function, make_request):
    response = rest_api().answer(make_request("POST", "/prod/v2/infer?x=1", headers={"X-A": "1"}, body=b"\x00"))
    assert response.status == 200
    (event,) = function.events
    assert "version" not in event
    assert (event["resource"], event["path"]) == ("/{proxy+}", "/v2/infer")
    assert event["requestContext"]["path"] == "/prod/v2/infer"
    assert (event["body"], event["isBase64Encoded"]) == ("AA==", True)
    assert event["pathParameters"] == {"proxy": "v2/infer"}


def test_a_rest_api_without_binary_types_passes_text(rest_api, function, make_request):
    rest_api(binary=()).answer(make_request("POST", "/prod/a", headers={"Content-Type": "a/b"}, body=b"text"))
    assert (function.events[0]["body"], function.events[0]["isBase64Encoded"]) == ("text", False)


@pytest.mark.parametrize(
    ("binary", "accept", "decoded"),
    [
        (("*/*",), None, True),
        (("application/octet-stream",), "application/octet-stream", True),
        (("application/octet-stream",), "application/octet-stream;q=1, application/json", True),
        (("application/octet-stream",), "application/octet-stream, application/json", True),
        (("application/octet-stream",), "application/json, application/octet-stream", False),
        (("application/octet-stream",), None, False),
        ((), "application/octet-stream", False),
    ],
)
def test_only_the_first_accepted_type_decides_over_decoding(rest_api, function, make_request, binary, accept, decoded):
    function.answer = {"statusCode": 200, "body": "YWJj", "isBase64Encoded": True}
    headers = {} if accept is None else {"Accept": accept}
    response = rest_api(binary=binary).answer(make_request(target="/prod/a", headers=headers))
    assert response.body == (b"abc" if decoded else b"YWJj")


def test_a_rest_apis_refusals(rest_api, make_request):
    api = rest_api(RestMethod("/a", "GET", FUNCTION), RestMethod("/i", "GET", FUNCTION, authorization="AWS_IAM"))
    missing = {"message": "Missing Authentication Token"}
    assert message(api.answer(make_request(target="/prod/b"))) == (403, missing)
    assert message(api.answer(make_request("POST", "/prod/a"))) == (403, missing)
    assert message(api.answer(make_request(target="/prod/i"))) == (403, missing)
    assert message(api.answer(make_request(target="/test/a"))) == (403, {"message": "Forbidden"})
    assert api.answer(make_request(target="/prod/a/")).status == 200


def test_a_rest_api_checks_signatures(rest_api, function, make_request, sign, credentials):
    api = rest_api(RestMethod("/{proxy+}", "ANY", FUNCTION, authorization="AWS_IAM"))
    headers = {"Host": "127.0.0.1:8080", **sign(credentials, "GET", "http://127.0.0.1:8080/prod/a")}
    assert api.answer(make_request(target="/prod/a", headers=headers)).status == 200
    assert function.events[0]["requestContext"]["identity"]["accessKey"] == credentials.access_key_id
    status, body = message(api.answer(make_request(target="/prod/b", headers=headers)))
    assert status == 403
    assert "does not match" in body["message"]


@pytest.mark.parametrize(
    ("error", "answer", "expected"),
    [
        ("Unhandled", {}, (502, "Internal server error")),
        (None, {"message": "no status"}, (502, "Internal server error")),
        (TooManyRequests("Rate Exceeded."), {}, (500, "Internal server error")),
        (RequestEntityTooLarge("too large"), {}, (413, "Request Too Long")),
        (NotServed("why not"), {}, (501, "why not")),
    ],
)
def test_a_rest_apis_errors(rest_api, function, make_request, error, answer, expected):
    function.error, function.answer = error, answer
    assert message(rest_api().answer(make_request(target="/prod/a"))) == (expected[0], {"message": expected[1]})


def test_a_rest_api_does_not_wait_for_ever(rest_api, function, make_request):
    function.seconds = 1
    api = rest_api(RestMethod("/a", "GET", FUNCTION, timeout_seconds=0.05))
    assert message(api.answer(make_request(target="/prod/a"))) == (504, {"message": "Endpoint request timed out"})


def test_api_keys_and_their_usage_plan(rest_api, function, make_request):
    keys = (PlannedKey("k1", "secret", frozenset({"rest/prod"}), rate=0.001, burst=2),)
    api = rest_api(RestMethod("/a", "GET", FUNCTION, api_key_required=True), keys=keys)

    def status(key):
        return api.answer(make_request(target="/prod/a", headers={} if key is None else {"x-api-key": key})).status

    assert status(None) == 403
    assert status("wrong") == 403
    assert [status("secret") for _ in range(3)] == [200, 200, 429]
    assert function.events[0]["requestContext"]["identity"]["apiKey"] == "secret"
    other = (
        PlannedKey("k2", "quota", frozenset({"rest/prod"}), quota=1),
        PlannedKey("k3", "else", frozenset({"rest/x"})),
    )
    api = rest_api(RestMethod("/a", "GET", FUNCTION, api_key_required=True), keys=other)
    assert [status("quota"), status("quota"), status("else")] == [200, 429, 403]


def test_stages_of_a_rest_api_throttle(rest_api, make_request):
    api = rest_api(stages={"prod": RestStage("prod", limits={"*/*": (0.001, 1)})})
    assert [api.answer(make_request(target="/prod/a")).status for _ in range(2)] == [200, 429]


def test_mock_methods_answer_preflights(rest_api, function, make_request):
    mock = HttpResponse(204, (("Access-Control-Allow-Origin", "*"),))
    api = rest_api(RestMethod("/{proxy+}", "OPTIONS", None, mock=mock), RestMethod("/{proxy+}", "ANY", FUNCTION))
    response = api.answer(make_request("OPTIONS", "/prod/a"))
    assert response.status == 204
    assert ("Access-Control-Allow-Origin", "*") in response.headers
    assert function.events == []


# -- function URLs --------------------------------------------------------------------------------------------------


@pytest.fixture
def function_url(function, credentials):
    def make(auth_type="NONE"):
        definition = FunctionUrlDefinition("abc", "https://abc.lambda-url.us-east-1.on.aws/", FUNCTION, auth_type)
        return FunctionUrl(definition, function, SignatureVerifier(credentials, "lambda"))

    return make


def test_a_function_url_hands_on_the_request(function_url, function, make_request):
    assert function_url().answer(make_request("PUT", "/a/b", body=b"x")).body == b"ok"
    (event,) = function.events
    context = event["requestContext"]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a/b")
    assert (context["accountId"], context["stage"]) == ("anonymous", "$default")
    assert context["domainName"] == "abc.lambda-url.us-east-1.on.aws"


def test_a_function_url_wants_a_signature_for_its_own_service(function_url, function, make_request, sign, credentials):
    api = function_url("AWS_IAM")
    assert message(api.answer(make_request())) == (403, {"Message": "Forbidden"})
    for service, status in (("lambda", 200), ("execute-api", 403)):
        signed = sign(credentials, "GET", "http://127.0.0.1:8080/", service=service)
        assert api.answer(make_request(headers={"Host": "127.0.0.1:8080", **signed})).status == status
    assert function.events[0]["requestContext"]["accountId"] == ACCOUNT


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("Unhandled", 502),
        (TooManyRequests("Rate Exceeded."), 429),
        (RequestEntityTooLarge("x"), 413),
        (NotServed("x"), 501),
    ],
)
def test_a_function_urls_errors(function_url, function, make_request, error, status):
    function.error = error
    assert function_url().answer(make_request()).status == status
