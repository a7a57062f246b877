"""A job API that keeps its jobs in memory, and fails as it is told."""

import hashlib
import json
import re
import threading
import time

import pytest

from onnx_inference.local.gateway.http_server import ApiServer, HttpResponse

PATH = re.compile(r"/base/v2/models/double(?:/versions/1)?/jobs/([^/?]+)(/result)?$")


class FakeJobApi:
    """Doubles what it is given; a job is done at its `polls_to_finish`-th poll."""

    def __init__(self):
        self.jobs = {}
        self.requests = []
        self.failures = []
        self.lose_answers = 0
        self.polls_to_finish = 2
        self.end = "SUCCEEDED"
        self.metadata = None
        self.binary = False
        self.large_at = None
        self.lock = threading.Lock()

    def answer(self, request):
        with self.lock:
            self.requests.append(request)
            if self.failures:
                return self.failures.pop(0)
            answer = self._answer(request)
            if self.lose_answers:
                self.lose_answers -= 1
                return HttpResponse(503, (), b'{"message":"Service Unavailable"}')
            return answer

    def _answer(self, request):
        if request.path == "/base/v2/models/double":
            if self.metadata is None:
                return HttpResponse(404, (), b'{"message":"Not Found"}')
            return HttpResponse(200, (), json.dumps(self.metadata).encode())
        match = PATH.match(request.path)
        if match is None:
            return HttpResponse(404, (), b'{"error": "no such route"}')
        job, result = match.groups()
        if request.method == "PUT":
            return self._put(job, request)
        if job not in self.jobs:
            return HttpResponse(404, (), b'{"error": "no such job"}')
        record = self.jobs[job]
        if request.method == "DELETE":
            record["status"], record["error"] = "CANCELLED", "the job was cancelled"
            return HttpResponse(200, (), self._public(record))
        if result:
            return self._result(record)
        record["polls"] += 1
        if record["polls"] >= self.polls_to_finish and record["status"] == "QUEUED":
            record["status"] = self.end
            if self.end != "SUCCEEDED":
                record["error"] = "the model said no"
        return HttpResponse(200, (), self._public(record))

    def _put(self, job, request):
        fingerprint = hashlib.sha256(request.body).hexdigest()
        record = self.jobs.setdefault(
            job, {"id": job, "status": "QUEUED", "polls": 0, "fingerprint": fingerprint, "request": request, "made": 0}
        )
        if record["fingerprint"] != fingerprint:
            return HttpResponse(409, (), b'{"error": "the id is that of another job"}')
        record["made"] += record["polls"] == 0 and record["made"] == 0
        return HttpResponse(202, (("Location", f"jobs/{job}"),), self._public(record))

    def _public(self, record):
        return json.dumps({k: record[k] for k in ("id", "status", "error") if k in record}).encode()

    def _result(self, record):
        body = record["request"].body
        length = record["request"].header("Inference-Header-Content-Length")
        document = json.loads(body if length is None else body[: int(length)])
        data = document["inputs"][0].get("data")
        doubled = [2 * value for value in data] if data else [0.0]
        output = {"name": "y", "datatype": "FP32", "shape": [len(doubled)], "data": doubled}
        answer = json.dumps({"model_name": "double", "outputs": [output]}).encode()
        if self.large_at is not None:
            return HttpResponse(303, (("Location", self.large_at(answer)),), b"")
        return HttpResponse(200, (), answer)


@pytest.fixture
def api():
    return FakeJobApi()


@pytest.fixture
def url(api):
    site = ApiServer("jobs", api.answer, too_large=HttpResponse(413))
    yield site.url.rstrip("/") + "/base"
    site.stop()


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    """Retries do not wait for long here."""
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: real(min(seconds, 0.01)))
