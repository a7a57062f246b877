"""The fixtures as a user has them: in a project of their own, under a pytest of its own."""

from __future__ import annotations

import json

import pytest

from tests.support import synth

pytest_plugins = ["pytester"]

STACK = """
import json, pathlib
TEMPLATE = json.loads(pathlib.Path(__file__).with_name("template.json").read_text())

def test_template(template_snapshot):
    assert TEMPLATE == template_snapshot

def test_identities(stateful_identities):
    stateful_identities({"Shop": TEMPLATE})
"""


def table(key: str, digest: str) -> dict[str, object]:
    return {
        "Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"KeySchema": [{"AttributeName": key, "KeyType": "HASH"}]},
            },
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {"Code": {"ImageUri": f"images:{digest * 64}"}},
            },
        }
    }


def test_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(synth.ROOT / "constructs"))
    pytester.makeconftest('pytest_plugins = ["cdk_onnx_inference.testing.plugin"]')
    pytester.makepyfile(test_shop=STACK)
    template = pytester.path / "template.json"

    def run(document: dict[str, object], *options: str) -> pytest.RunResult:
        template.write_text(json.dumps(document))
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    run(table("id", "a")).assert_outcomes(failed=2)
    run(table("id", "a"), "--snapshot-update", "--record-stateful-ids=the first").assert_outcomes(passed=2)
    run(table("id", "b")).assert_outcomes(passed=2)  # another image is no other infrastructure

    changed = run(table("job", "a"))
    changed.assert_outcomes(failed=2)
    changed.stdout.fnmatch_lines(["*replaces the table Table by an empty one, the old one is left behind*"])
    changed.stdout.fnmatch_lines(["*REPLACED by an empty one*KeySchema*"])
