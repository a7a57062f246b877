"""The example that the README begins with: the same text, and an app that synthesises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support import synth

FILE = synth.ROOT / "examples" / "own_app" / "app.py"


def test_the_readme_quotes_the_file() -> None:
    readme = (synth.ROOT / "README.md").read_text()
    quoted = readme.split(f"<!-- {FILE.relative_to(synth.ROOT)} -->\n```python\n")[1].split("```")[0]
    assert quoted == FILE.read_text()


def test_it_synthesises_without_the_recommended_flags(tmp_path: Path) -> None:
    environment = {**os.environ, "CDK_OUTDIR": str(tmp_path)}
    subprocess.run([sys.executable, str(FILE)], check=True, env=environment, cwd=tmp_path)
    template = json.loads((tmp_path / "Shop.template.json").read_text())
    assert synth.only(template, "AWS::Lambda::Alias")["Name"] == "live"
    assert synth.only(template, "AWS::ApiGatewayV2::Api")["ProtocolType"] == "HTTP"


def test_it_runs_on_this_machine(tmp_path: Path) -> None:
    paths = os.pathsep.join(str(synth.ROOT / folder) for folder in ("constructs", "toolkit"))
    environment = {**os.environ, "PYTHONPATH": paths, "CDK_VALIDATION": "false"}
    ran = subprocess.run(
        [sys.executable, str(FILE.with_name("local.py"))],
        check=True,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout.splitlines()[-1] == "logits (1, 10)"
