"""Samples from files, and made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_inference.prepare.errors import Refused
from onnx_inference.prepare.samples import BATCHES, SINGLES, SampleMaker, read_samples
from onnx_inference.prepare.session_worker import read_arrays, write_arrays
from onnx_inference.prepare.signature import Signature, Tensor
from tests.support import corpus

FIXED = Signature((Tensor("x", "FP32", (1, 3), ("", "")),), (Tensor("y", "FP32", (1, 2), ("", "")),))
OPEN = Signature((Tensor("x", "FP32", (-1, 3), ("batch", "")),), (Tensor("y", "FP32", (-1, 2), ("batch", "")),))


def read(tmp_path: Path, signature: Signature, **arrays: np.ndarray) -> tuple[list, list | None]:
    np.savez(tmp_path / "s.npz", **arrays)
    return read_samples(tmp_path / "s.npz", signature, purpose="--goldens")


@pytest.mark.parametrize(
    ("signature", "shape", "count"),
    [(FIXED, (1, 3), 1), (FIXED, (5, 3), 5), (FIXED, (5, 1, 3), 5), (OPEN, (5, 3), 1), (OPEN, (4, 5, 3), 4)],
)
def test_samples_are_told_apart_by_shape(
    signature: Signature, shape: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    feeds, expected = read(tmp_path, signature, x=corpus.random(*shape))
    assert len(feeds) == count
    assert expected is None
    assert all(feed["x"].ndim == 2 for feed in feeds)


def test_expected_outputs(tmp_path: Path) -> None:
    feeds, expected = read(tmp_path, FIXED, x=corpus.random(4, 3), y=corpus.random(4, 2))
    assert expected is not None
    assert len(feeds) == len(expected) == 4


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"y": (1, 2)}, "lacks the inputs"),
        ({"x": (1, 3), "z": (1,)}, "names of neither"),
        ({"x": (1, 4)}, "shape"),
        ({"x": (4, 3), "y": (3, 2)}, "different numbers"),
    ],
)
def test_unfit_files(arrays: dict[str, tuple[int, ...]], says: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=says) as refusal:
        read(tmp_path, FIXED, **{name: corpus.random(*shape) for name, shape in arrays.items()})
    assert refusal.value.code == "samples-unfit"


def test_values_are_cast_only_without_loss(tmp_path: Path) -> None:
    whole = Signature((Tensor("x", "INT64", (-1,), ("n",)),), ())
    assert read(tmp_path, whole, x=np.array([1, 2], np.int8))[0][0]["x"].dtype == np.int64
    assert read(tmp_path, OPEN, x=np.ones((1, 3)))[0][0]["x"].dtype == np.float32
    with pytest.raises(Refused, match="does not fit"):
        read(tmp_path, whole, x=np.array([1.5]))
    with pytest.raises(Refused, match="float64"):
        read(tmp_path, Signature((Tensor("x", "BYTES", (-1,), ("n",)),), ()), x=np.array([1.5]))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cannot be read: 'x' holds Python objects; save strings as array.astype\(str\)"):
        read(tmp_path, OPEN, x=np.array([{}], dtype=object))
    (tmp_path / "s.npz").write_bytes(b"no zip")
    with pytest.raises(Refused, match=r"cannot be read: it is not an \.npz file"):
        read_samples(tmp_path / "s.npz", OPEN, purpose="--goldens")
    np.save(tmp_path / "s.npy", np.ones(3))
    with pytest.raises(Refused, match="by name"):
        read_samples(tmp_path / "s.npy", OPEN, purpose="--goldens")


def test_arrays_of_any_name_and_type_come_back(tmp_path: Path) -> None:
    words = np.array(["a", "", "Größe"], dtype=object)
    arrays = {"file": corpus.random(2), "a/b:0": np.array(True), "x.npy": np.zeros((0, 3)), "words": words}
    write_arrays(tmp_path / "a.npz", arrays)
    back = read_arrays(tmp_path / "a.npz")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    first = (tmp_path / "a.npz").read_bytes()
    write_arrays(tmp_path / "a.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == first
    np.savez(tmp_path / "b.npz", words=np.array(["ä".encode()]))
    assert read_arrays(tmp_path / "b.npz")["words"].tolist() == ["ä"]


def made_up(made, signature: Signature, **dims: int) -> list[dict[str, np.ndarray]]:
    return next(SampleMaker(made, signature, 0, dims).attempts())[1]


def test_indices_stay_inside_their_table() -> None:
    ids = Tensor("input_ids", "INT64", (-1, -1), ("batch", "sequence"))
    mask = Tensor("attention_mask", "INT64", (-1, -1), ("batch", "sequence"))
    feeds = made_up(corpus.transformer(vocabulary=500), Signature((ids, mask), ()))
    values = np.concatenate([feed["input_ids"].ravel() for feed in feeds])
    assert 100 < values.max() < 500
    assert all((feed["attention_mask"] == 1).all() for feed in feeds)
    assert [feed["input_ids"].shape for feed in feeds] == [(rows, 32) for rows in BATCHES]


def test_dimensions_are_as_the_user_says() -> None:
    tensor = Tensor("x", "FP32", (-1, -1, -1), ("batch", "", "height"))
    feeds = made_up(corpus.mlp(), Signature((tensor,), ()), **{"batch": 2, "x:1": 7, "height": 9})
    assert len(feeds) == SINGLES
    assert {feed["x"].shape for feed in feeds} == {(2, 7, 9)}
    with pytest.raises(Refused, match=r"\['batch', 'height', 'x:1'\]"):
        SampleMaker(corpus.mlp(), Signature((tensor,), ()), 0, {"width": 1})


def test_words_are_those_that_the_model_knows() -> None:
    feeds = made_up(corpus.strings(), Signature((Tensor("word", "BYTES", (-1,), ("n",)),), ()))
    assert {"red", "green", "blue", "no such word"} == {word for feed in feeds for word in feed["word"]}


def test_seed_decides() -> None:
    def values(seed: int) -> float:
        (_, feeds), *_ = SampleMaker(corpus.mlp(), OPEN, seed, {}).attempts()
        return float(feeds[0]["x"].sum())

    assert values(1) == values(1)
    assert values(1) != values(2)


def test_large_inputs_make_few_samples() -> None:
    tensor = Tensor("x", "FP32", (-1, 3, 1000, 1000), ("batch", "", "", ""))
    assert len(made_up(corpus.mlp(), Signature((tensor,), ()))) == 2
