"""examples/reviewed as its user has it: copied, and its tests run by a pytest of their own."""

from __future__ import annotations

import shutil

import pytest

from tests.support import synth

pytest_plugins = ["pytester"]

EXAMPLES = synth.ROOT / "examples"


def test_its_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(synth.ROOT / "constructs"))
    monkeypatch.setenv("CDK_VALIDATION", "false")
    project = pytester.path / "reviewed"
    shutil.copytree(EXAMPLES / "reviewed", project, ignore=shutil.ignore_patterns("__pycache__"))
    (pytester.path / "digits").mkdir()
    shutil.copy(EXAMPLES / "digits" / "model.onnx", pytester.path / "digits")
    monkeypatch.chdir(project)

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--rootdir={project}", *options)

    run("--snapshot-update", "--record-stateful-ids=the first").assert_outcomes(passed=2)

    app = project / "app.py"
    app.write_text(app.read_text().replace('stack, "Digits"', 'stack, "Numbers"'))  # a construct is renamed
    changed = run()
    changed.assert_outcomes(failed=2)
    changed.stdout.fnmatch_lines(["*log group DigitsLogGroup*would leave the stack*"])
