"""REST APIs in front of a function that is not there."""

import pytest

from onnx_inference.local.gateway.http_server import HttpResponse
from onnx_inference.local.gateway.rest_api import RestApi, RestApiDefinition, RestMethod, RestStage
from onnx_inference.local.gateway.signature_v4 import SignatureVerifier
from onnx_inference.local.gateway.usage_plans import PlannedKey, UsagePlans
from onnx_inference.local.lambda_host.invocation import NotServed, RequestEntityTooLarge, TooManyRequests
from tests.toolkit.local.gateway.conftest import ACCOUNT, FUNCTION, REGION, message


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
