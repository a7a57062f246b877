"""That every benchmark runs and reports. No time is asserted: a suite that does measures its machine's other work."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import cold_start, machine, picture, report, warm_image, warm_small_json
from benchmarks.__main__ import IMAGE_PYTHON, REQUIREMENTS
from benchmarks.contenders import LEAST, OURS, PLAIN, REPOSITORY, staged
from benchmarks.rounds import Result
from benchmarks.runtime_api import InvocationFailed, first_answer
from tests.support import models

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("awslambdaric") is None, reason="awslambdaric is there for Linux only"
)


@pytest.fixture(scope="module")
def small_json(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return warm_small_json.run(2, tmp_path_factory.mktemp("workplace"), names=(OURS, PLAIN), calls=2)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return cold_start.run(1, tmp_path_factory.mktemp("workplace"), names=(OURS, LEAST))


def test_a_cold_start_is_measured_and_broken_down(cold: Result) -> None:
    assert {name: len(values) for name, values in cold.samples.items()} == {OURS: 1, LEAST: 1}
    (table,) = cold.tables
    assert [row[0] for row in table.rows][1:5] == ["awslambdaric", "numpy", "onnxruntime", "our modules"]
    assert all(float(row[1]) >= 0 for row in table.rows)


def test_a_warm_request_is_measured_against_the_session_alone(small_json: Result) -> None:
    assert {OURS, PLAIN, warm_small_json.RUN} <= set(small_json.samples)
    assert small_json.figures[0].goal == 40
    assert "Predict" in [row[0] for row in small_json.tables[0].rows]


def test_an_image_goes_through_in_both_forms(tmp_path: Path) -> None:
    flatten = models.model(
        [models.helper.make_node("GlobalAveragePool", ["image"], ["logits"])],
        [models.tensor("image", models.TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [models.tensor("logits", models.TensorProto.FLOAT, ["batch", 3, 1, 1])],
    )
    result = warm_image.run(2, tmp_path, calls=1, model=models.save(flatten, tmp_path / "model") / "model.onnx")
    assert len(result.samples[warm_image.BINARY]) == len(result.samples[warm_image.JSON]) == 2


def test_the_report_has_every_figure_and_no_trace_of_the_machines_owner(small_json: Result, cold: Result) -> None:
    described = machine.described()
    results = [cold, small_json]
    text = report.markdown(results, "2026-01-31", described)
    data = json.dumps(report.document(results, "2026-01-31", described))
    drawn = picture.svg(results, "2026-01-31", described["cores"])
    assert text.count("| cold start to first answer |") == 1
    assert all(title in drawn for title in ("onnx_handler", "least handler"))
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    for written in (text, data, drawn):
        assert str(REPOSITORY) not in written
        assert str(Path.home()) + "/" not in written


def test_a_process_that_fails_says_what_it_wrote(tmp_path: Path) -> None:
    contender = staged(LEAST, tmp_path)
    with (
        pytest.raises(InvocationFailed, match="No module named 'nothing'"),
        first_answer("nothing.handler", contender.task_root, contender.event, {}),
    ):
        pass


def test_what_is_measured_is_what_the_image_has() -> None:
    runtime = REPOSITORY / "runtime"
    locked = re.findall(r"^(\S+==\S+)", (runtime / "requirements.txt").read_text(), re.MULTILINE)
    pinned = REQUIREMENTS.read_text()
    assert locked
    assert all(requirement in pinned for requirement in locked)
    assert f"lambda/python:{IMAGE_PYTHON}\n" in (runtime / "Dockerfile").read_text()
