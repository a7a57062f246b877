"""The image under Lambda's restrictions: what it answers, what it holds, what it leaves out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cdk_onnx_inference import Processing
from tests.container.conftest import EXAMPLES, StageContext, Start
from tests.container.engine import Engine
from tests.support import events, models

DEPENDENCIES_LIMIT = 110_000_000  # bytes, uncompressed

IMAGES = np.load(EXAMPLES / "digits" / "goldens" / "images.npy")
LABELS = np.load(EXAMPLES / "digits" / "goldens" / "labels.npy").tolist()


def infer(document: object, model: str = "digits") -> events.Event:
    return events.http_api("POST", f"/v2/models/{model}/infer", {}, json.dumps(document).encode())


def image_request(**members: object) -> dict[str, object]:
    tensor = {"name": "image", "datatype": "FP32", "shape": list(IMAGES.shape)}
    return {"inputs": [{**tensor, **members}]}


def test_answers_json_and_binary(start: Start) -> None:
    container = start()
    assert container.first == {"kind": "ready"}
    outcome = container.invoke(infer(image_request(data=IMAGES.ravel().tolist())))
    assert outcome["kind"] == "response"
    status, _, body = events.answered(outcome["body"])
    logits = json.loads(body)["outputs"][0]["data"]
    assert status == 200
    assert np.reshape(logits, (-1, 10)).argmax(axis=1).tolist() == LABELS

    raw = IMAGES.astype(np.float32).tobytes()
    head = json.dumps(
        {**image_request(parameters={"binary_data_size": len(raw)}), "parameters": {"binary_data_output": True}}
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    outcome = container.invoke(events.http_api("POST", "/v2/models/digits/infer", headers, head + raw))
    status, answered, body = events.answered(outcome["body"])
    binary = np.frombuffer(body[int(answered["inference-header-content-length"]) :], np.float32)
    assert status == 200
    assert np.array_equal(binary, np.array(logits, np.float32))


def test_a_bad_event_is_answered(start: Start) -> None:
    container = start()
    for event in ({}, [], "warm", {"Records": []}, {"httpMethod": 3}):
        outcome = container.invoke(event)
        assert (outcome["kind"], outcome["body"]["statusCode"]) == ("response", 400)


def test_a_model_that_cannot_load_is_reported_and_the_environment_stays(
    start: Start, engine: Engine, stage_context: StageContext, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"\x08\x0a not a model")
    container = start(mounts={broken: "/var/task/model"})
    assert container.first == {"kind": "ready"}
    for _ in range(2):
        answer = container.invoke(events.http_api("GET", "/v2/health/ready", {}, b""))["body"]
        assert answer["statusCode"] == 503
        assert "cannot load" in json.loads(answer["body"])["error"]
    logged = [json.loads(line) for line in container.log.splitlines() if "did not load" in line]
    assert [(line["level"], line["logger"]) for line in logged] == [("ERROR", "onnx_handler")]


def test_a_processing_file_with_a_requirement_of_its_own(
    start: Start, engine: Engine, stage_context: StageContext, tmp_path: Path
) -> None:
    models.save(models.identity(shape=["n"]), tmp_path / "lengths")
    processing = tmp_path / "widths.py"
    processing.write_text(
        "import numpy as np\nimport wcwidth\n\n\n"
        "def preprocess(request):\n"
        "    widths = [wcwidth.wcswidth(text.decode()) for text in request.inputs['text']]\n"
        "    return {'x': np.array(widths, np.float32)}\n"
    )
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("wcwidth==0.2.13\n")
    context = stage_context(tmp_path / "lengths", Processing(processing, requirements))
    container = start(
        engine.build("localhost/widths", context),
        environment={"MODEL_NAME": "lengths", "PROCESSING_PATH": "processing/widths.py"},
    )
    document = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["abc", "コンニチハ"]}]}
    answer = container.invoke(infer(document, "lengths"))["body"]
    assert json.loads(answer["body"])["outputs"][0]["data"] == [3.0, 10.0]


def test_the_language_example(start: Start, engine: Engine, stage_context: StageContext) -> None:
    folder = EXAMPLES / "language"
    context = stage_context(folder / "model.onnx", Processing(folder / "processing.py"))
    container = start(
        engine.build("localhost/language", context),
        environment={"MODEL_NAME": "language", "PROCESSING_PATH": "processing/processing.py"},
    )
    text = "Le projet parle seulement de lui-même et de ce qu'il sait faire."
    document = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]}
    answer = container.invoke(infer(document, "language"))["body"]
    outputs = {output["name"]: output["data"] for output in json.loads(answer["body"])["outputs"]}
    assert outputs["label"] == ["fr"]


def threads_and_files(start: Start, **environment: str) -> tuple[int, list[str]]:
    """How many threads the handler has once it is ready, and the files that it has left in the one writable place."""
    container = start(environment=environment)
    assert container.invoke(events.http_api("GET", "/v2", {}, b""))["body"]["statusCode"] == 200
    assert not [line for line in container.execute("env").splitlines() if line.startswith("CI=")]
    threads = container.execute("sh", "-c", "ls /proc/1/task | wc -l")
    return int(threads), container.execute("sh", "-c", "find /tmp -type f").split()


def test_no_telemetry(start: Start) -> None:
    threads, files = threads_and_files(start)
    assert files == []
    # onnxruntime reads the variable: with telemetry allowed, what is looked for is there.
    threads_with_telemetry, files_with_telemetry = threads_and_files(start, ORT_DISABLE_TELEMETRY="0")
    assert threads_with_telemetry > threads
    assert files_with_telemetry


def test_the_root_is_read_only_and_shared_memory_absent(start: Start) -> None:
    container = start()
    with pytest.raises(AssertionError, match="Read-only file system"):
        container.execute("sh", "-c", "touch /var/task/x")
    with pytest.raises(AssertionError):
        container.execute("sh", "-c", "ls /dev/shm/.")
    assert container.execute("id", "-u").strip() == "993"


def test_dependencies_stay_small(engine: Engine, digits_image: str) -> None:
    layers, of_base = (
        json.loads(engine.podman("history", "--format=json", image)) for image in (digits_image, engine.base)
    )
    dependencies = max(layer["size"] for layer in layers[: len(layers) - len(of_base)])
    assert 50_000_000 < dependencies <= DEPENDENCIES_LIMIT


def test_bytecode_is_there_and_used(start: Start) -> None:
    container = start()
    program = (
        "import importlib.util, pathlib, sys\n"
        "import onnx_handler.http, numpy, onnxruntime\n"
        "for name in ('onnx_handler.http', 'onnx_handler.tensors.codecs', 'numpy', 'onnxruntime'):\n"
        "    cached = pathlib.Path(sys.modules[name].__cached__)\n"
        "    flags = int.from_bytes(cached.read_bytes()[4:8], 'little')\n"
        "    print(name, flags)\n"
    )
    lines = container.execute("/var/lang/bin/python", "-c", program).splitlines()
    # Flag 1: validated by hash; flag 2 would be "check the source", which unchecked bytecode does not.
    used = dict(line.split() for line in lines if line.startswith(("onnx_handler", "numpy", "onnxruntime")))
    assert used == {"onnx_handler.http": "1", "onnx_handler.tensors.codecs": "1", "numpy": "1", "onnxruntime": "1"}


def test_every_command_starts(start: Start) -> None:
    handler = Path(__file__).parents[2] / "runtime" / "onnx_handler"
    commands = sorted(
        file.stem for file in handler.glob("*.py") if re.search(r"^(def )?handler\b", file.read_text(), re.M)
    )
    assert "http" in commands
    assert "publish" in commands
    for command in commands:
        assert start(command=[f"onnx_handler.{command}.handler"]).first == {"kind": "ready"}
