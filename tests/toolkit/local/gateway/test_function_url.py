"""Function URLs in front of a function that is not there."""

import pytest

from onnx_inference.local.gateway.function_url import FunctionUrl, FunctionUrlDefinition
from onnx_inference.local.gateway.signature_v4 import SignatureVerifier
from onnx_inference.local.lambda_host.invocation import NotServed, RequestEntityTooLarge, TooManyRequests
from tests.toolkit.local.gateway.conftest import ACCOUNT, FUNCTION, message


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
