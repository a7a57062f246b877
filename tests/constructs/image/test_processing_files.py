from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from aws_cdk import Token
from hypothesis import given
from hypothesis import strategies as st

from cdk_onnx_inference import Problem, Processing
from cdk_onnx_inference.image import _processing_files
from tests.support.synth import ROOT

PREPROCESS = "def preprocess(request):\n    return request.inputs\n"


def write(directory: Path, text: str, name: str = "words.py") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def collect(processing: Processing) -> _processing_files.ProcessingFiles:
    files, problems = _processing_files.collect("Shop/Digits.processing", processing)
    assert problems == []
    assert files is not None
    return files


def problems(processing: Processing) -> list[Problem]:
    files, found = _processing_files.collect("Shop/Digits.processing", processing)
    assert files is None
    assert found
    return found


def codes(processing: Processing) -> list[str]:
    return [problem.code for problem in problems(processing)]


@pytest.mark.parametrize(
    "text",
    [
        PREPROCESS,
        "def postprocess(outputs):\n    return outputs\n",
        "from words_lib import preprocess\n",
        "import words_lib as postprocess\n",
        "from words_lib import *\n",
        "preprocess = lambda request: request.inputs\n",
        "preprocess: object = print\n",
        "try:\n    import fast\nexcept ImportError:\n    def preprocess(request): ...\n",
        "if True:\n    pass\nelse:\n    def postprocess(outputs): ...\n",
        "class preprocess:\n    def __new__(cls, request): ...\n",
        "a, preprocess = None, print\n",
    ],
)
def test_a_function_may_come_from_anywhere(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert collect(Processing(path)).files == {"words.py": path}


def test_requirements_go_under_the_one_name(tmp_path: Path) -> None:
    path = write(tmp_path, PREPROCESS)
    requirements = write(tmp_path, "tokenizers==0.21\n", "words-requirements.txt")
    files = collect(Processing(str(path), str(requirements)))
    assert files.module == "words.py"
    assert files.files == {"words.py": path, "requirements.txt": requirements}


def test_paths_are_relative_to_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, PREPROCESS)
    monkeypatch.chdir(tmp_path)
    assert collect(Processing("words.py")).files == {"words.py": tmp_path / "words.py"}


def test_fails_without_the_file(tmp_path: Path) -> None:
    assert codes(Processing(tmp_path / "words.py")) == ["processing-missing"]


@pytest.mark.parametrize("token", [Token.as_string({"Ref": "File"})])
def test_fails_on_a_path_that_is_a_token(token: str) -> None:
    assert codes(Processing(token, token)) == ["processing-missing", "processing-missing"]


@pytest.mark.parametrize("name", ["words.txt", "words", "my words.py", ".hidden.py", "wörter.py"])
def test_fails_on_a_name_that_is_no_plain_module(tmp_path: Path, name: str) -> None:
    assert codes(Processing(write(tmp_path, PREPROCESS, name))) == ["processing-name"]


def test_python_is_that_of_the_image() -> None:
    dockerfile = (ROOT / "runtime" / "Dockerfile").read_text()
    bases = re.findall(r"^FROM \S*python:(\d+)\.(\d+)", dockerfile, re.MULTILINE)
    assert bases
    assert {(int(major), int(minor)) for major, minor in bases} == {_processing_files.PYTHON}


@pytest.mark.parametrize("text", ["def preprocess(:\n", "def preprocess(request):\nreturn 1\n"])
def test_fails_on_a_syntax_error(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processing_files, "PYTHON", sys.version_info[:2])
    (found,) = problems(Processing(write(tmp_path, text)))
    assert found.code == "processing-syntax"
    assert "line" in found.got


def test_a_newer_python_may_understand_what_this_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processing_files, "PYTHON", (sys.version_info[0], sys.version_info[1] + 1))
    unparsed = collect(Processing(write(tmp_path, "something new\n"))).unparsed
    assert unparsed
    assert "line 1" in unparsed


def test_fails_on_a_file_that_is_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processing_files, "PYTHON", sys.version_info[:2])
    path = tmp_path / "words.py"
    path.write_bytes(b"# \xff\xfe\n")
    assert codes(Processing(path)) == ["processing-syntax"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def process(request): ...\n",
        "class Words:\n    def preprocess(self, request): ...\n",
        "def outer():\n    def preprocess(request): ...\n",
        "async def preprocess(request): ...\n",
        PREPROCESS + "async def postprocess(outputs): ...\n",
    ],
)
def test_fails_without_a_function_that_the_handler_can_call(tmp_path: Path, text: str) -> None:
    assert codes(Processing(write(tmp_path, text))) == ["processing-functions"]


@pytest.mark.parametrize(
    "line",
    [
        "tokenizers",
        "tokenizers==0.21.0 ; python_version >= '3.12'  # why",
        "tokenizers[all]>=0.21,<1 --hash=sha256:abc",
        "tokenizers==0.21 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def",
        "words @ https://example.com/words-1.0-py3-none-any.whl",
        "https://example.com/words-1.0.tar.gz",
        "--require-hashes",
        "--only-binary=:all:",
        "# -e .",
        "",
        "extra-index",
        "requirements-parser",
    ],
)
def test_requirements_of_an_index(tmp_path: Path, line: str) -> None:
    collect(Processing(write(tmp_path, PREPROCESS), write(tmp_path, f"numpy\n{line}\n", "r.txt")))


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-e.",
        "--editable=../words",
        "  -r more.txt",
        "-rmore.txt",
        "--requirement more.txt",
        "-c constraints.txt",
        "-i https://example.com/simple",
        "--index-url https://example.com/simple",
        "--extra-index-url=https://example.com/simple",
        "--find-links wheels",
        "-f wheels",
        "--no-index",
        "--trusted-host example.com",
        ".",
        "./words",
        "../words",
        "/srv/words",
        "~/words",
        "words-1.0-py3-none-any.whl",
        "wheels/words-1.0.tar.gz",
        "words @ file:///srv/words",
        "file:words",
        "C:\\words",
    ],
)
def test_fails_on_requirements_of_this_machine(tmp_path: Path, line: str) -> None:
    (found,) = problems(Processing(write(tmp_path, PREPROCESS), write(tmp_path, f"numpy\n{line}\n", "r.txt")))
    assert found.code == "processing-requirements"
    assert found.path == "Shop/Digits.processing.requirements"


def test_fails_on_requirements_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes(b"\xff\xfen\0")
    assert codes(Processing(write(tmp_path, PREPROCESS), path)) == ["processing-requirements"]


def test_all_problems_come_together(tmp_path: Path) -> None:
    requirements = write(tmp_path, "-e .\n./words\n", "r.txt")
    assert codes(Processing(write(tmp_path, ""), requirements)) == [
        "processing-functions",
        "processing-requirements",
        "processing-requirements",
    ]


@given(text=st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_is_accepted_or_a_problem(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "any.py").write_bytes(text.encode())
    files, found = _processing_files.collect("p", Processing(directory / "any.py", directory / "any.py"))
    assert (files is None) == bool(found)
