"""Models of every kind, prepared, in one function on the local twin: the answers are those of the original models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onnx_inference.local import LocalTwin
from tests.e2e.packages import assert_parity, golden_inputs, original, prepare, served
from tests.support import corpus
from tests.support.quick_preparation import sessions_in_this_process

APP = Path(__file__).parent / "packages_app"

CALIBRATION = "calibration.npz"
QUANTISED: dict[str, tuple[corpus.Made, list[str]]] = {
    "transformer-int8": (corpus.transformer, ["--quantize", "int8"]),
    "cnn-int8-static": (corpus.cnn, ["--quantize", "int8", "--calibration", CALIBRATION]),
}
MODELS: dict[str, tuple[corpus.Made, list[str]]] = {
    **{name: (made, []) for name, made in corpus.CORPUS.items()},
    **QUANTISED,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models as they were exported, one directory each."""
    place = tmp_path_factory.mktemp("models")
    for name, (made, _) in MODELS.items():
        corpus.save(made(), place / name / "model.onnx")
    np.savez(place / CALIBRATION, image=corpus.random(4, 3, 32, 32, seed=7))
    return place


@pytest.fixture(scope="module")
def packages(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their packages, one directory each."""
    place = tmp_path_factory.mktemp("packages")
    with sessions_in_this_process():
        for name, (_, options) in MODELS.items():
            known = [str(models / CALIBRATION) if option == CALIBRATION else option for option in options]
            prepare(models / name, place / name, "--name", name, *known)
    return place


@pytest.fixture(scope="module")
def url(packages: Path, twin: LocalTwin) -> Iterator[str]:
    """The URL of the one function that has all packages."""
    twin.deploy(directory=APP, context={"packages": str(packages)})
    (endpoint,) = twin.endpoints()
    yield endpoint.url
    twin.destroy()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_served_is_the_original(name: str, url: str, models: Path, packages: Path) -> None:
    feeds = golden_inputs(packages / name)
    assert feeds
    graph = models / name / "model.onnx"
    assert_parity(packages / name, [(served(url, packages / name, feed), original(graph, feed)) for feed in feeds])


@pytest.mark.parametrize("name", QUANTISED)
def test_a_quantised_package_is_what_is_served(name: str, url: str, models: Path, packages: Path) -> None:
    """Its outputs are those of the package, and differ from the original's."""
    feed = golden_inputs(packages / name)[0]
    answer = served(url, packages / name, feed)
    package, given = (original(place / name / "model.onnx", feed) for place in (packages, models))
    for output, array in answer.items():
        np.testing.assert_allclose(array, package[output], rtol=1e-5, atol=1e-5)
        assert not np.allclose(array, given[output], rtol=1e-5, atol=1e-5)
