"""The Runtime API by the calls that a runtime makes."""

import http.client
import threading
from contextlib import closing

import pytest

from onnx_inference.local.lambda_host.runtime_api import RuntimeApi, RuntimeInvocation

PREFIX = "/2018-06-01/runtime"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f:live"


@pytest.fixture
def api():
    with closing(RuntimeApi()) as api:
        yield api


def call(api, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(api.address, timeout=5)
    with closing(connection):
        connection.request(method, PREFIX + path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def test_an_event_is_handed_out_with_the_runtimes_headers_and_answered(api):
    invocation = RuntimeInvocation("id-1", b'{"a":1}', 1234, ARN, "Root=1-2-3")
    api.offer(invocation)
    status, headers, body = call(api, "GET", "/invocation/next")
    assert (status, body) == (200, b'{"a":1}')
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
    assert headers["Lambda-Runtime-Deadline-Ms"] == "1234"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == ARN
    assert headers["Lambda-Runtime-Trace-Id"] == "Root=1-2-3"
    assert call(api, "POST", "/invocation/id-1/response", b"done")[0] == 202
    assert invocation.finished.is_set()
    assert invocation.response == b"done"


def test_asking_for_an_event_says_that_the_runtime_is_initialised(api):
    thread = threading.Thread(target=call, args=(api, "GET", "/invocation/next"))
    thread.start()
    assert api.initialised.wait(5)
    api.offer(RuntimeInvocation("id", b"{}", 0, ARN, ""))
    thread.join()
    assert api.init_error is None


def test_errors_of_the_function_and_of_its_start(api):
    invocation = RuntimeInvocation("id", b"{}", 0, ARN, "")
    api.offer(invocation)
    assert call(api, "POST", "/invocation/id/error", b'{"errorType":"E"}')[0] == 202
    assert invocation.error == b'{"errorType":"E"}'
    assert call(api, "POST", "/init/error", b'{"errorType":"I"}')[0] == 202
    assert api.initialised.is_set()
    assert api.init_error == b'{"errorType":"I"}'


def test_an_answer_to_another_event_is_refused(api):
    assert call(api, "POST", "/invocation/id/response", b"x")[0] == 400
    api.offer(RuntimeInvocation("id", b"{}", 0, ARN, ""))
    assert call(api, "POST", "/invocation/other/response", b"x")[0] == 400
    assert call(api, "POST", "/invocation/id/response", b"x")[0] == 202
    assert call(api, "POST", "/invocation/id/response", b"again")[0] == 400


def test_chunked_answers_are_read(api):
    invocation = RuntimeInvocation("id", b"{}", 0, ARN, "")
    api.offer(invocation)
    assert call(api, "POST", "/invocation/id/response", iter([b"ab", b"cd"]))[0] == 202
    assert invocation.response == b"abcd"


def test_unknown_paths_are_not_found(api):
    assert call(api, "GET", "/nothing")[0] == 404
    assert call(api, "POST", "/invocation/id/nothing")[0] == 404


def test_closing_disconnects_a_waiting_runtime(api):
    failures = []

    def wait():
        try:
            call(api, "GET", "/invocation/next")
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert api.initialised.wait(5)
    api.close()
    thread.join(timeout=5)
    assert failures
