"""Several models in one function, and models from S3, as a client meets them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from onnx_handler.http import Handler
from onnx_handler.model_objects import digest_of
from onnx_handler.models import repository
from onnx_handler.storage import model_cache
from tests.runtime.conftest import Served
from tests.support import events, models
from tests.support.s3 import S3, document, refuse
from tests.support.synth import ROOT

VECTOR = {"datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
MATMUL = {"inputs": [{"name": "x", **VECTOR}]}
IDENTITY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [7]}]}


class Several:
    """Makes models in a directory and serves them as MODELS says."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.monkeypatch = monkeypatch
        self.entries: list[dict[str, Any]] = []
        models.save(models.matmul(), root / "matmul")
        models.save(models.identity(), root / "identity")

    def add(self, name: str, version: str = "1", path: str = "identity", **members: Any) -> Several:
        self.entries.append({"name": name, "version": version, "digest": "sha256:0", "path": path, **members})
        return self

    def serve(self, **environment: str) -> Served:
        for key, value in {
            "LAMBDA_TASK_ROOT": str(self.root),
            "MODELS": json.dumps(self.entries),
            **environment,
        }.items():
            self.monkeypatch.setenv(key, value)
        return Served(Handler(), events.function_url)


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Several:
    return Several(tmp_path, monkeypatch)


def infer(served: Served, model: str, body: Any = None) -> tuple[int, Any]:
    status, _, answer = served.request("POST", f"/v2/models/{model}/infer", json.dumps(body or IDENTITY).encode())
    return status, json.loads(answer)


def in_memory(served: Served) -> list[str]:
    return [one.name for one in served.handler._server._repository._all if one.model is not None]


def size_in_memory(several: Several, count: int) -> int:
    """A budget that holds so many of the test's models."""
    return int((count + 0.5) * (several.root / "identity" / "model.onnx").stat().st_size)


@pytest.fixture
def by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models as large as their files: a process that grows by chance would make tests of eviction a matter of luck."""
    monkeypatch.setattr(repository, "_resident", lambda: 0)


def budget(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(repository.Settings, "model_memory", property(lambda _: size))


def test_each_is_asked_by_its_name_and_version(several: Several) -> None:
    served = several.add("a", "2").add("a", "10").add("b", path="matmul").serve()
    assert infer(served, "a")[1]["model_version"] == "10"  # the newest, by number
    assert infer(served, "a/versions/2")[1]["model_version"] == "2"
    status, answer = infer(served, "b", MATMUL)
    assert (status, answer["outputs"][0]["data"]) == (200, [60, 70, 80])
    assert served.get("/v2/models/b")[1]["inputs"][0]["shape"] == [-1, 4]
    assert served.get("/v2/models/a/versions/2/ready") == (200, {"name": "a", "ready": True})
    assert served.get("/v2")[1]["extensions"] == ["binary_tensor_data"]
    status, answer = infer(served, "c")
    assert status == 404
    assert "'c' is not found; this function serves ['a', 'b']" in answer["error"]
    status, answer = infer(served, "a/versions/3")
    assert status == 404
    assert "'a' version '3' is not found; this function serves version ['2', '10']" in answer["error"]


def test_each_has_its_processing_and_its_metrics(several: Several, capsys: pytest.CaptureFixture[str]) -> None:
    (several.root / "negate.py").write_text("def postprocess(outputs):\n    return {'y': -outputs['y']}\n")
    served = several.add("plain").add("negated", processing="negate.py", digest="sha256:1").serve()
    assert infer(served, "plain")[1]["outputs"][0]["data"] == [7]
    assert infer(served, "negated")[1]["outputs"][0]["data"] == [-7]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["ModelName"], line["modelDigest"]) for line in lines if "Predict" in line] == [
        ("plain", "sha256:0"),
        ("negated", "sha256:1"),
    ]


def test_as_many_as_fit_are_loaded_first(several: Several, monkeypatch: pytest.MonkeyPatch, by_size: None) -> None:
    budget(monkeypatch, size_in_memory(several, 2))
    served = several.add("a").add("b").add("c").add("d").serve()
    assert in_memory(served) == ["a", "b"]
    assert served.get("/v2/health/ready")[0] == 200
    assert infer(served, "c")[0] == 200
    assert in_memory(served) == ["b", "c"]  # `a` was loaded first, and nobody used either
    infer(served, "b")
    infer(served, "d")
    assert in_memory(served) == ["b", "d"]
    assert served.get("/v2/models/c/ready")[0] == 200  # it was loaded before, and is not loaded to say so
    assert in_memory(served) == ["b", "d"]
    assert served.get("/v2/models/a")[0] == 200
    assert in_memory(served) == ["a", "d"]


def test_one_that_is_larger_than_the_budget_has_it_alone(
    several: Several, monkeypatch: pytest.MonkeyPatch, by_size: None
) -> None:
    budget(monkeypatch, 1)
    served = several.add("a").add("b").serve()
    assert in_memory(served) == ["a"]
    assert infer(served, "b")[0] == 200
    assert in_memory(served) == ["b"]


def test_what_a_model_takes_is_measured(several: Several) -> None:
    served = several.add("a").serve()
    one = served.handler._server._repository._all[0]
    assert one.size == 0  # a single model is never evicted, so nobody asks
    several.add("b")
    assert several.serve().handler._server._repository._all[1].size > 0


def test_one_that_cannot_be_loaded_does_not_take_the_others_down(several: Several) -> None:
    served = several.add("a").add("broken", path="none").serve()
    assert infer(served, "a")[0] == 200
    status, answer = infer(served, "broken")
    assert status == 503
    assert "model 'broken' is not ready: there is no model at" in answer["error"]
    assert served.get("/v2/models/a/ready")[0] == 200
    assert served.get("/v2/models/broken/ready")[0] == 503
    # The protocol: a server is ready when all of its models are.
    status, answer = served.get("/v2/health/ready")
    assert (status, answer["live"], answer["ready"]) == (503, True, False)
    assert "'broken'" in answer["error"]
    assert served.get("/v2/health/live") == (200, {"live": True, "ready": False})


def test_ready_loads_a_model_that_nobody_has_tried(
    several: Several, monkeypatch: pytest.MonkeyPatch, by_size: None
) -> None:
    budget(monkeypatch, size_in_memory(several, 1))
    (several.root / "damaged").mkdir()
    (several.root / "damaged" / "model.onnx").write_bytes(b"?" * 200)
    served = several.add("a").add("damaged", path="damaged").serve()
    assert served.get("/v2/health/ready")[0] == 200  # nobody knows yet
    assert served.get("/v2/models/damaged/ready")[0] == 503
    assert served.get("/v2/health/ready")[0] == 503


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{", "MODELS is not JSON"),
        ("[]", "a list of objects"),
        ("[1]", "a list of objects"),
        ('[{"name": 1, "path": "p"}]', r"MODELS\[0\].name is 1; a string is expected"),
        ('[{"name": "a"}]', r"MODELS\[0\].path is not set"),
        ('[{"name": "a", "path": "p"}, {"name": "a", "path": "q"}]', "twice"),
        ('[{"name": "a", "objects": {"parts": []}}]', r"MODELS\[0\].objects has the parts"),
    ],
)
def test_what_is_wrong_with_the_variable_is_told(several: Several, value: str, told: str) -> None:
    status, body = several.serve(MODELS=value).get("/v2/health/ready")
    assert status == 503
    assert re.search(told, body["error"])


# -- from S3 --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def objects(server: S3, directory: Path, prefix: str) -> dict[str, Any]:
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    return document(server.put(files, prefix=prefix))


def test_a_model_from_s3(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    (package / "manifest.json").write_text(json.dumps({"session": {"intra_op_num_threads": 1}}))
    parts = server.put({path.name: path.read_bytes() for path in package.iterdir()})
    monkeypatch.setenv("MODEL_OBJECTS", json.dumps(document(parts)))
    monkeypatch.setenv("MODEL_DIGEST", digest_of(parts, manifest=False))
    monkeypatch.setenv("MODEL_CACHE_SIZE", "10")
    served = Served(Handler(), events.function_url)
    assert served.infer(MATMUL)[1]["outputs"][0]["data"] == [60, 70, 80]
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["ModelFetch"] > 0
    monkeypatch.setenv("MODEL_DIGEST", "sha256:other")
    status, body = Served(Handler(), events.function_url).get("/v2/health/ready")
    assert status == 503
    assert "MODEL_OBJECTS have the digest" in body["error"]


def test_a_cause_that_may_pass_is_tried_again(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    monkeypatch.setenv("MODEL_OBJECTS", json.dumps(objects(server, package, "")))
    server.fault = lambda handler, ask: refuse(handler, 503, "SlowDown", "") or True
    served = Served(Handler(), events.function_url)
    asked = len(server.asked)
    status, body = served.get("/v2/health/ready")
    assert status == 503
    assert "503 SlowDown" in body["error"]
    server.fault = None
    assert served.infer(MATMUL)[0] == 503
    assert len(server.asked) == asked  # not at every request
    served.handler._server._repository._all[0].retry_at = 0.0
    assert served.get("/v2/health/ready")[0] == 200
    assert served.infer(MATMUL)[0] == 200


def test_a_policy_that_spreads_during_the_start_is_waited_for(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    monkeypatch.setenv("MODEL_OBJECTS", json.dumps(objects(server, package, "")))
    spread = monotonic() + 0.3
    server.fault = lambda handler, ask: monotonic() < spread and (refuse(handler, 403, "AccessDenied", "") or True)
    assert Served(Handler(), events.function_url).infer(MATMUL)[0] == 200


def test_a_policy_that_comes_later_is_found_at_a_request(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    monkeypatch.setenv("MODEL_OBJECTS", json.dumps(objects(server, package, "")))
    monkeypatch.setattr(model_cache, "patience", lambda: 0.0)
    server.fault = lambda handler, ask: refuse(handler, 403, "AccessDenied", "") or True
    served = Served(Handler(), events.function_url)
    server.forget()
    for _ in range(3):
        status, body = served.infer(MATMUL)
        assert (status, "s3:GetObject" in body["error"]) == (503, True)
    assert server.asked == []  # not at every request
    served.handler._server._repository._all[0].retry_at = 0.0
    started = monotonic()
    assert served.infer(MATMUL)[0] == 503
    assert monotonic() - started < 1  # a request waits for nothing
    server.fault = None
    served.handler._server._repository._all[0].retry_at = 0.0
    assert served.infer(MATMUL)[0] == 200


def test_a_refusal_is_not(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    monkeypatch.setenv("MODEL_OBJECTS", json.dumps(objects(server, package, "")))
    server.fault = lambda handler, ask: refuse(handler, 403, "SignatureDoesNotMatch", "") or True
    served = Served(Handler(), events.function_url)
    server.forget()
    assert served.infer(MATMUL)[0] == 503
    assert served.handler._server._repository._all[0].retry_at == float("inf")
    assert server.asked == []


def test_a_model_in_memory_makes_place_on_the_disk(
    server: S3, several: Several, monkeypatch: pytest.MonkeyPatch, by_size: None
) -> None:
    """Files of a loaded model are mapped, and their space is not free before it is gone."""
    size = (several.root / "matmul" / "model.onnx").stat().st_size
    for name in "ab":
        several.add(name, path="", objects=objects(server, several.root / "matmul", f"{name}/"), digest="")
        several.entries[-1]["objects"]["parts"].append(
            {
                "path": "extra",
                "uri": f"s3://models/{name}/extra",
                "size": 1,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
            }
        )
        server.objects[f"{name}/extra"] = name.encode()
    monkeypatch.setattr("onnx_handler.settings._megabytes", lambda *_: int(size * 1.5))
    served = several.serve(MODEL_CACHE_SIZE="1")
    assert in_memory(served) == ["b"]
    assert infer(served, "a", MATMUL)[0] == 200
    assert in_memory(served) == ["a"]


PROGRAM = """
import glob, json, os, sys, time
from onnx_handler.storage import prefetch
real, began = prefetch.start, None
def start(environment):
    global began
    real(environment)
    until = time.monotonic() + 10
    while not glob.glob(os.environ["TMPDIR"] + "/onnx-models-*/[0-9a-f]*") and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic() < until and not {"numpy", "onnxruntime", "http.client"} & set(sys.modules)
prefetch.start = start
from onnx_handler import http
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:  # whose processing waits for processes of its own must not meet ours
    pass
else:
    sys.exit("there is a child")
print(json.dumps([began, http.handler({"httpMethod": "GET", "path": "/v2/health/ready", "requestContext": {}}, None)]))
"""


def test_the_download_begins_ahead_of_the_imports(server: S3, tmp_path: Path) -> None:
    package = models.save(models.matmul(), tmp_path / "package")
    environment = {
        **os.environ,
        **server.environment,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT / "runtime"),
        "MODEL_OBJECTS": json.dumps(objects(server, package, "")),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    began, answer = json.loads(done.stdout.splitlines()[-1])
    assert began
    assert answer["statusCode"] == 200
    assert server.bytes_asked() == (package / "model.onnx").stat().st_size
    assert done.stderr == ""


MEMORY = """
import json, os, sys
from onnx_handler import http
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
repository = http.handler.__self__._server._repository
for served in repository._all * 3:
    repository.loaded(served)
print(json.dumps([anonymous(), [served.name for served in repository._all if served.model]]))
"""


def test_what_made_place_is_given_back(tmp_path: Path) -> None:
    """The C library would keep it, and with every change of models the process would grow."""
    weights = np.zeros((2048, 2048), np.float32)
    for name in "abcd":
        nodes = [models.helper.make_node("MatMul", ["x", f"w{i}"], [f"y{i}"]) for i in range(3)]
        made = models.model(
            nodes,
            [models.tensor("x", models.TensorProto.FLOAT, ["n", 2048])],
            [models.tensor(f"y{i}", models.TensorProto.FLOAT, ["n", 2048]) for i in range(3)],
            [models.onnx.numpy_helper.from_array(weights + i, f"w{i}") for i in range(3)],
        )
        models.save(made, tmp_path / name)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "runtime"),
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(256 + 110),  # two of them
        "MODELS": json.dumps([{"name": name, "path": name} for name in "abcd"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    anonymous, loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded == ["c", "d"]
    assert anonymous < 256 * 1024**2  # 100 MB of models, and the interpreter
