"""What requests are signed for."""

from onnx_inference.infer.signing import RequestSigner


def test_the_region_may_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    url = "http://127.0.0.1:8080/v2"
    headers = RequestSigner(url, "execute-api", None).headers("GET", url, b"", {})
    assert "/eu-central-1/execute-api/aws4_request" in headers["Authorization"]
