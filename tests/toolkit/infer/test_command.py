"""`onnx-inference infer` against a server that keeps what it was sent."""

import json
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from onnx_inference.cli import main
from onnx_inference.local.gateway.http_server import ApiServer, HttpResponse
from onnx_inference.local.gateway.signature_v4 import SignatureRejected, SignatureVerifier

METADATA = {
    "name": "digits",
    "versions": ["1"],
    "platform": "onnxruntime_onnx",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}],
}


class Server:
    """Answers as a model server, in JSON or bytes as it was asked."""

    def __init__(self):
        self.requests = []
        self.verifier = None
        self.forbidden = b'{"message":"Forbidden"}'
        self.error = None
        self.prediction = None

    def answer(self, request):
        self.requests.append(request)
        if self.verifier is not None:
            try:
                self.verifier.verify(request)
            except SignatureRejected:
                return HttpResponse(403, (), self.forbidden)
        if self.error is not None:
            return self.error
        if request.method == "GET":
            return HttpResponse(200, (), json.dumps(METADATA).encode())
        if self.prediction is not None:
            return self.prediction
        length = int(request.header("Inference-Header-Content-Length") or len(request.body))
        document = json.loads(request.body[:length])
        values = np.array([[0.25, 2.0]], dtype=np.float32)
        output = {"name": "logits", "datatype": "FP32", "shape": [1, 2]}
        if document["outputs"][0]["parameters"]["binary_data"]:
            head = json.dumps(
                {"model_name": "digits", "outputs": [{**output, "parameters": {"binary_data_size": 8}}]}
            ).encode()
            return HttpResponse(200, (("Inference-Header-Content-Length", str(len(head))),), head + values.tobytes())
        value = {"model_name": "digits", "model_version": "1", "outputs": [{**output, "data": [0.25, 2.0]}]}
        return HttpResponse(200, (), json.dumps(value).encode())


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def url(server):
    site = ApiServer("model", server.answer, too_large=HttpResponse(413))
    yield site.url
    site.stop()


@pytest.fixture
def run(url):
    def call(*arguments, env=None, base=""):
        return CliRunner().invoke(main, ["infer", url + base, "--model", "digits", *arguments], env=env or {})

    return call


def test_a_json_request_and_a_readable_answer(run, server):
    result = run("--input", "image=[[1, 2]]", "--json")
    assert result.exit_code == 0, result.output
    assert "logits" in result.output
    assert "0.25 2" in result.output
    metadata, request = server.requests
    assert (metadata.method, metadata.path) == ("GET", "/v2/models/digits")
    assert (request.method, request.path) == ("POST", "/v2/models/digits/infer")
    assert json.loads(request.body)["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    ]


def test_a_binary_request_and_a_raw_answer(run, server):
    result = run("-i", "image=[[1, 2]]", "--binary", "--raw")
    assert json.loads(result.output)["outputs"][0]["data"] == [0.25, 2.0]
    request = server.requests[-1]
    length = int(request.header("Inference-Header-Content-Length"))
    assert json.loads(request.body[:length])["inputs"][0]["parameters"] == {"binary_data_size": 8}
    assert request.body[length:] == struct.pack("<2f", 1, 2)


def test_large_tensors_go_as_bytes_and_small_ones_as_json(run, server, tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((4000, 2), dtype=np.float64))
    (tmp_path / "small.json").write_text("[[1, 2]]")
    assert run("-i", f"image=@{tmp_path / 'large.npy'}").exit_code == 0
    assert server.requests[-1].header("Content-Type") == "application/octet-stream"
    assert run("-i", f"image=@{tmp_path / 'small.json'}").exit_code == 0
    assert server.requests[-1].header("Content-Type") == "application/json"


def test_versions_headers_and_base_paths(run, server):
    assert run("-i", "image=[[1, 2]]", "--version", "3", "--header", "x-api-key=k", base="/prod/v2/").exit_code == 0
    assert server.requests[-1].path == "/prod/v2/models/digits/versions/3/infer"
    assert server.requests[-1].header("x-api-key") == "k"


@pytest.mark.parametrize("service", ["execute-api", "lambda"])
def test_requests_are_signed_when_the_endpoint_asks(run, server, credentials, service):
    server.verifier = SignatureVerifier(credentials, service)
    if service == "lambda":
        server.forbidden = b'{"Message":"Forbidden"}'
    env = credentials.environment() | {"AWS_ENDPOINT_URL": ""}
    result = run("-i", "image=[[1, 2]]", env=env)
    assert result.exit_code == 0, result.output
    assert server.requests[0].header("Authorization") is None
    assert all(request.header("Authorization") for request in server.requests[1:])
    server.requests.clear()
    assert run("-i", "image=[[1, 2]]", "--auth", "iam", env=env).exit_code == 0
    assert all(request.header("Authorization") for request in server.requests)
    refused = run("-i", "image=[[1, 2]]", "--auth", "none", env=env)
    assert refused.exit_code == 1
    assert "403 Forbidden: Forbidden" in refused.output


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("image=[1, 2]", "the first dimension is the batch"),
        ("image=[[1, 2, 3]]", "the shape is [1, 3], the model takes [-1, 2]"),
        ('image=[["a", "b"]]', "the model takes FP32"),
        ("image=[[1], [1, 2]]", "not of equal length"),
        ("other=[[1, 2]]", "no input other. It takes: image (FP32 [-1, 2])"),
        ("image", "not NAME=VALUE"),
        ("image=oops", "not JSON"),
        ("image=@nowhere.npy", "no file nowhere.npy"),
    ],
)
def test_values_that_do_not_fit_are_usage_errors(run, value, said):
    result = run("--input", value)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_an_input_that_is_given_twice_is_a_usage_error(run):
    result = run("-i", "image=[[1, 2]]", "-i", "image=[[3, 4]]")
    assert result.exit_code == 2
    assert "image is given twice" in result.output


def test_unknown_outputs_are_usage_errors(run):
    result = run("-i", "image=[[1, 2]]", "-o", "label")
    assert result.exit_code == 2
    assert "It has: logits" in result.output


def test_what_the_server_says_is_shown(run, server):
    server.error = HttpResponse(404, (), b'{"error":"unknown model: digits"}')
    result = run("-i", "image=[[1, 2]]")
    assert (result.exit_code, result.output.strip()) == (1, "Error: 404 Not Found: unknown model: digits")


def test_an_endpoint_that_is_not_there():
    result = CliRunner().invoke(main, ["infer", "http://127.0.0.1:9", "--model", "m", "-i", "a=1"])
    assert result.exit_code == 1
    assert "cannot be reached" in result.output


def test_what_is_no_url_is_said_at_once():
    for url in ("shop.example.com", "ftp://shop.example.com", "http://shop.example.com:port", "http://"):
        result = CliRunner().invoke(main, ["infer", url, "--model", "m", "-i", "a=1"])
        assert (result.exit_code, result.output) == (1, f"Error: {url!r} is not an http or https URL\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "answered with no JSON object"),
        (b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1]}]}', "KeyError: 'data'"),
        (b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], "data": [1]}]}', "cannot be read: ValueError"),
        (
            b'{"outputs": [{"name": "y", "datatype": "BF16", "shape": [1], "data": [1]}]}',
            "datatype BF16 cannot be read",
        ),
        (b'{"outputs": ["y"]}', "cannot be read: AttributeError"),
    ],
)
def test_a_response_that_cannot_be_read_is_an_error_with_the_cause(run, server, body, said):
    server.prediction = HttpResponse(200, (), body)
    result = run("-i", "image=[[1, 2]]")
    assert result.exit_code == 1
    assert said in result.output
