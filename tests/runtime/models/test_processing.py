"""The user's own processing file."""

from __future__ import annotations

import pytest

from tests.runtime.conftest import Serve
from tests.support import models

LENGTHS = """
import numpy as np

INPUTS = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
OUTPUTS = [{"name": "label", "datatype": "BYTES", "shape": [-1]}]

def preprocess(request):
    if "text" not in request.inputs:
        raise ValueError("input 'text' is missing")
    scale = float(request.parameters.get("scale", 1))
    lengths = [scale * len(text.decode()) for text in request.inputs["text"]]
    return {"x": np.array(lengths, np.float32)}

def postprocess(outputs):
    return {"label": np.array(["long" if value > 3 else "short" for value in outputs["y"]])}
"""


def test_text_in_label_out(serve: Serve) -> None:
    served = serve(models.identity(), LENGTHS)
    metadata = served.get("/v2/models/model")[1]
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [-1]}]
    document = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["é", "four"]}]}
    status, body = served.infer(document)
    assert (status, body["outputs"][0]["data"]) == (200, ["short", "long"])
    assert served.infer({**document, "parameters": {"scale": 9}})[1]["outputs"][0]["data"] == ["long", "long"]
    assert served.infer({**document, "outputs": [{"name": "label"}]})[0] == 200
    assert served.infer({**document, "outputs": [{"name": "y"}]})[0] == 400


def test_a_value_error_is_the_clients(serve: Serve) -> None:
    status, body = serve(models.identity(), LENGTHS).infer({"inputs": []})
    assert (status, body["error"]) == (400, "preprocess: input 'text' is missing")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def preprocess(request): raise KeyError('x')", "preprocess raised KeyError"),
        ("def preprocess(request): return 3", "a dict of arrays"),
        ("def postprocess(outputs): return 1 / 0", "postprocess raised ZeroDivisionError"),
        ("def postprocess(outputs): return [1]", "a dict of arrays"),
        ("import numpy\ndef postprocess(outputs): return {'y': numpy.zeros(1, complex)}", "numpy complex128"),
    ],
)
def test_any_other_error_is_the_files_own(
    serve: Serve, source: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, body = serve(models.identity(), source).infer(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    )
    assert status == 500
    assert says in body["error"]
    assert says in caplog.text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def broken(", "SyntaxError"),
        ("import no_such_package", "ModuleNotFoundError"),
        ("raise SystemError('no')", "SystemError"),
        ("x = 1", "neither preprocess nor postprocess"),
        ("INPUTS = 3\ndef preprocess(request): ...", "INPUTS"),
        ("INPUTS = [{'name': 'x', 'datatype': 'FLOAT', 'shape': []}]\ndef preprocess(request): ...", "allowed: "),
    ],
)
def test_a_file_that_cannot_be_used_is_said(serve: Serve, source: str, says: str) -> None:
    status, body = serve(models.identity(), source).get("/v2/health/ready")
    assert status == 503
    assert says in body["error"]


def test_a_missing_file_is_said(serve: Serve) -> None:
    served = serve(models.identity(), PROCESSING_PATH="elsewhere.py")
    assert "elsewhere.py" in served.get("/v2/health/ready")[1]["error"]


def test_an_outputs_name_that_is_no_string_is_the_files_mistake(serve: Serve) -> None:
    served = serve(models.matmul(), "def postprocess(outputs):\n    return {3: outputs['y']}\n")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    status, answer = served.infer({"inputs": [tensor]})
    assert status == 500
    assert "postprocess returned 3 for an output's name" in answer["error"]
