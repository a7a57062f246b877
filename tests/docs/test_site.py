"""The site builds without a warning, with every link and anchor found, and its pages fetch nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import cdk_onnx_inference
from tests.support import synth

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="the site needs docs/requirements.txt"
)


class Fetched(HTMLParser):
    """What a browser loads to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "preload", "icon"):
            self.addresses.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    # Never with --quiet: warnings that are not shown are not counted either, and --strict lets them pass.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory]
    # No network: what a plugin or the theme would fetch fails.
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    built = subprocess.run(command, cwd=synth.ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "Documentation built" in built.stderr
    return directory


def test_links_that_lead_nowhere_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[b](b.md) [c](index.md#c)\n[d](../nothing)\n")
    config = synth.ROOT / "mkdocs.yml"
    validation = re.search(r"^validation:\n(  .*\n)+", config.read_text(encoding="utf-8"), re.MULTILINE)
    assert validation is not None
    (tmp_path / "mkdocs.yml").write_text(f"site_name: links\n{validation[0]}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 1
    assert "Aborted with 3 warnings in strict mode" in built.stdout


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert not [address for address in fetched.addresses if "//" in address], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_pictures_are_there(site: Path) -> None:
    shown = 0
    for page in site.rglob("*.html"):
        for source in re.findall(r'<img[^>]* src="([^":]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / source).read_bytes().startswith((b"<svg", b"\x89PNG")), (page, source)
            shown += 1
    assert shown >= 6


def test_every_public_name_is_in_the_reference_once(site: Path) -> None:
    anchors = [
        anchor
        for page in site.rglob("*.html")
        for anchor in re.findall(r'<h[1-6] id="(cdk_onnx_inference\.[A-Z]\w+)"', page.read_text(encoding="utf-8"))
    ]
    assert sorted(anchors) == sorted(f"cdk_onnx_inference.{name}" for name in cdk_onnx_inference.__all__)


def test_options_say_what_a_change_does(site: Path) -> None:
    page = " ".join((site / "inference-function.html").read_text(encoding="utf-8").split())
    assert "A change publishes a new version. Default: 1769 MB" in page
    assert "cdk_onnx_inference.InferenceFunction.grant_invoke" in page  # from a base class that is not public


def test_examples_have_pages(site: Path) -> None:
    for example in ("existing_network", "two_models", "private_rest_api", "three_stacks", "rollout", "reviewed"):
        page = (site / "repository" / "examples" / example / "index.html").read_text(encoding="utf-8")
        assert "app.py" in page
