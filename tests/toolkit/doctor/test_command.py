from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from onnx_inference.cli import main

from .corpus import ASSET, BAD, DIGEST, GOOD, Resources, image, mapped


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def template(path: Path, resources: Resources) -> Path:
    path.write_text(json.dumps({"Resources": resources}))
    return path


def test_a_cloud_assembly(tmp_path: Path) -> None:
    template(tmp_path / "Shop.template.json", mapped({"VisibilityTimeout": 20}))
    (tmp_path / "assembly-Stage").mkdir()
    template(tmp_path / "assembly-Stage" / "Office.template.json", mapped())
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "queue-visibility-timeout  Queue.VisibilityTimeout" in result.output
    assert "20 seconds" in result.output
    assert "Office" not in result.output
    assert "2 templates: 1 errors, 0 warnings" in result.output


def test_warnings_fail_when_strict(tmp_path: Path) -> None:
    path = template(tmp_path / "Shop.template.json", BAD["schedule-retries"][0])
    assert run(path).exit_code == 0
    assert run(path, "--strict").exit_code == 1
    assert run(path, "--strict", "--ignore", "schedule-retries").exit_code == 0


def test_json(tmp_path: Path) -> None:
    path = template(tmp_path / "Shop.template.json", BAD["schedule-retries"][0])
    (found,) = json.loads(run(path, "--json").output)
    assert found["template"] == "Shop"
    assert found["code"] == "schedule-retries"
    assert found["logical_id"] == "Schedule"
    assert found["fix"]


def test_platforms_come_from_the_assets(tmp_path: Path) -> None:
    template(tmp_path / "Shop.template.json", image(ASSET, Architectures=["arm64"]))
    assets: dict[str, Any] = {"dockerImages": {DIGEST: {"source": {"directory": "asset", "platform": "linux/amd64"}}}}
    (tmp_path / "Shop.assets.json").write_text(json.dumps(assets))
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "image-platform" in result.output
    assert "linux/arm64" in result.output


def test_nothing_to_say(tmp_path: Path) -> None:
    result = run(template(tmp_path / "Shop.template.json", GOOD["api-timeout"][0]))
    assert result.exit_code == 0
    assert result.output == "1 template: 0 errors, 0 warnings\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nothing", None, "does not exist"),
        ("a.yaml", "Resources: {}", "is no template in JSON"),
        ("a.json", "[]", "has no Resources"),
        ("a.json", '{"Resources": []}', "has no Resources"),
    ],
)
def test_what_is_no_template(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    result = run(tmp_path / name)
    assert result.exit_code == 2
    assert said in result.output


def test_an_empty_directory(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "cdk synth" in result.output


def test_the_list_of_checks() -> None:
    result = run("--list")
    assert result.exit_code == 0
    assert all(code in result.output for code in BAD)
