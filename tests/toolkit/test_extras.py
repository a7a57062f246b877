"""Commands without their extra say which one to install; help and listing need none."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from onnx_inference.cli import main
from onnx_inference.extras import MissingExtra, import_from_extra


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(MissingExtra, match=r"pip install 'cdk-onnx-inference\[local\]'"):
        import_from_extra("no_such_package.part", "local")


def test_an_import_that_fails_within_a_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as error:
        import_from_extra("half_there", "local")
    assert not isinstance(error.value, MissingExtra)


@pytest.mark.parametrize(
    "module",
    [
        "onnx_inference.doctor.command",
        "onnx_inference.infer.command",
        "onnx_inference.jobs.redrive_command",
        "onnx_inference.jobs.submit_command",
        "onnx_inference.jobs.wait_command",
        "onnx_inference.local.command",
        "onnx_inference.prepare.command",
    ],
)
def test_commands_are_imported_without_any_extra(module):
    heavy = ("boto3", "botocore", "ministack", "awslambdaric", "numpy", "onnx", "onnxruntime", "aws_cdk", "jsii")
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


def test_help_lists_the_commands():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in ("doctor", "infer", "local", "prepare", "redrive", "submit", "wait"):
        assert f"\n  {command} " in result.output
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0
