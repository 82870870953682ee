"""Samples that become numbers as they are read: the same training, what is changed in images, and little memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.backend import Session
from fac.diagnostics import FacError
from fac.spec.model import ModelSpec
from fac.step.feed import Feed
from fac.training import checkpoint
from fac.training.data import load
from fac.training.data.arrays import Arrays
from fac.training.dataset import AT_ONCE, Augment, Dataset, Split, fingerprint
from fac.training.fitting import fitted
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.loop import StoppedError, train
from fac.training.scaling import of_bytes
from fac.training.stepping import Stepping
from fac.training.stored import Stored, changed, evaluated

Opener = Callable[..., Session]
FEEDS = (Feed("x", (6,)), Feed("y", (), classes=4, loss="cross_entropy"))


def images(n: int = 43, seed: int = 0) -> NDArray[np.uint8]:
    """Of 1 x 2 x 3 pixels, which the small network reads as 6 numbers."""
    return np.random.default_rng(seed).integers(1, 256, (n, 1, 2, 3), np.uint8)


@pytest.fixture
def pictures() -> Dataset:
    """Bytes, to be scaled."""
    draw = np.random.default_rng(1)
    train, test = (Split(images(n, n), draw.integers(0, 4, n)) for n in (43, 17))
    return Dataset("pictures", train, test, scale={"x": (1, 2)})


def test_it_reads_as_the_array_does_that_it_stands_for() -> None:
    raw = images()
    stored = Stored(raw, of_bytes(), "float32", (6,))
    whole = (raw.reshape(43, 6) / 255).astype(np.float32)
    assert (stored.shape, stored.ndim, stored.size, len(stored)) == ((43, 6), 2, 258, 43)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(stored), whole)
    np.testing.assert_array_equal(stored[3:7], whole[3:7])
    np.testing.assert_array_equal(stored[np.array([5, 2])], whole[[5, 2]])
    assert fingerprint(Split(stored), "float32") == fingerprint(Split(whole), "float32")


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_training_is_the_same_as_on_numbers(
    backend: str, pictures: Dataset, spec: ModelSpec, open_session: Opener
) -> None:
    bytes_of, numbers = (open_session(spec, backend=backend) for _ in range(2))
    found = fitted(pictures, bytes_of.compiled.feeds, bytes_of.precision)
    assert isinstance(found.train.arrays["x"], Stored)
    whole = found.each(lambda _, split: Split(np.asarray(split.x), split.y))
    first = train(bytes_of, pictures, spec)
    second = train(numbers, replace(whole, scalings={}), spec)
    for name, value in numbers.state().items():
        np.testing.assert_array_equal(bytes_of.state()[name], value)
    assert first.test_loss == pytest.approx(second.test_loss, rel=1e-6)
    assert evaluated(bytes_of, found.test.arrays) == pytest.approx(
        numbers.evaluate(whole.test.arrays), rel=1e-6
    )


# -- what training changes -----------------------------------------------------------------------------------


def moved(image: NDArray[Any], down: int, right: int, turned: bool) -> bytes:
    """By its definition: the pixel at (i, j) is the one at (i + down, j + right), or black."""
    _channels, height, width = image.shape
    made = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            u, v = i + down, (width - 1 - j if turned else j) + right
            if 0 <= u < height and 0 <= v < width:
                made[:, i, j] = image[:, u, v]
    return made.tobytes()


def test_each_image_is_flipped_and_moved_in_a_way_of_its_own() -> None:
    """Each of the 2 * 3 * 3 ways about equally often: of 9000, 500 with a deviation of 22."""
    one = np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4)
    ways = {
        moved(one, down, right, turned): (down, right, turned)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        for turned in (False, True)
    }
    assert len(ways) == 18
    made = changed(np.repeat(one[None], 9000, 0), Augment(flip=True, crop=1), 3, 7)
    counts = Counter(ways[image.tobytes()] for image in made)
    assert len(counts) == 18
    assert all(400 < count < 600 for count in counts.values())


def test_only_what_is_asked_for() -> None:
    raw = images(200)
    flipped = changed(raw, Augment(flip=True), 0, 0)
    same = (flipped == raw).all((1, 2, 3))
    np.testing.assert_array_equal(flipped[~same], raw[~same][..., ::-1])
    assert 60 < same.sum() < 140
    cropped = changed(raw, Augment(crop=1), 0, 0)
    assert (cropped == raw).all((1, 2, 3)).sum() < 50
    assert not Augment()


def test_seed_and_step_decide() -> None:
    raw, how = images(100), Augment(True, 1)
    first = changed(raw, how, 1, 5)
    np.testing.assert_array_equal(changed(raw, how, 1, 5), first)
    for seed, step in ((1, 6), (2, 5)):
        assert (changed(raw, how, seed, step) != first).any()


def test_a_training_sees_changed_images_and_nothing_else_does(
    pictures: Dataset, spec: ModelSpec, open_session: Opener
) -> None:
    session = open_session(spec)
    found = fitted(replace(pictures, augment=Augment(True, 1)), session.compiled.feeds, "float64")
    family = Stepping(session, found.train, spec)
    rows = family.rows(2)
    plain = found.train.x[rows]
    x = found.train.arrays["x"]
    expected = x.scaling.applied(
        changed(pictures.train.x[rows], Augment(True, 1), spec.train.seed, 2), "float64"
    )
    for _ in range(2):  # also where another step was read in between
        np.testing.assert_array_equal(family.taken(2)["x"], expected.reshape(-1, 6))
        np.testing.assert_array_equal(family.read(2)["x"], expected.reshape(-1, 6))
    assert (expected.reshape(-1, 6) != plain).any()
    np.testing.assert_array_equal(family.fixed()["x"], found.train.x[family.rows(0)])
    np.testing.assert_array_equal(
        found.test.x[:], fitted(pictures, session.compiled.feeds, "float64").test.x[:]
    )


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize("stop", [3, 5, 8])
def test_a_resume_sees_the_same_images(
    backend: str, stop: int, pictures: Dataset, spec: ModelSpec, open_session: Opener, tmp_path: Path
) -> None:
    """In mid-epoch, at its end, and on the other side."""
    changing, calls = replace(pictures, augment=Augment(True, 1)), iter(range(1, 100))
    with pytest.raises(StoppedError):
        train(
            open_session(spec, backend=backend),
            changing,
            spec,
            RunFolder(Held(tmp_path), {}),
            stop=lambda: next(calls) >= stop,
        )
    found = checkpoint.load(tmp_path)
    on, unbroken = open_session(spec, found.state, backend), open_session(spec, backend=backend)
    train(on, changing, spec, RunFolder(Held(tmp_path), {}), since=found)
    train(unbroken, changing, spec)
    for name, value in unbroken.state().items():
        np.testing.assert_array_equal(on.state()[name], value)


# -- what is larger than memory ------------------------------------------------------------------------------

N = 200_000
"""Samples of 50 numbers: 40 MB of float32."""
WIDE = {
    "input": {"shape": [50]},
    "layers": [{"kind": "linear", "out": 4}],
    "feedback": {"rule": "bp"},
    "train": {"epochs": 1, "batch": 2000},
}


def mapped(folder: Path) -> Arrays:
    draw = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (N, 50))
    for start in range(0, N, 10_000):
        x[start : start + 10_000] = draw.standard_normal((10_000, 50))
    np.save(folder / "y.npy", draw.integers(0, 4, N))
    return Arrays(train=str(folder), test=str(folder), standardise="each")


def test_what_is_mapped_is_never_in_memory(
    make_spec: Callable[..., ModelSpec], open_session: Opener, tmp_path: Path
) -> None:
    """Measured, trained, evaluated and told by its fingerprint, in less than half of its bytes."""
    spec = make_spec(**WIDE)
    (tmp_path / "run").mkdir()
    section = mapped(tmp_path)
    session = open_session(spec)
    tracemalloc.start()
    train(session, load(section, tmp_path, "float32"), spec, RunFolder(Held(tmp_path / "run"), {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < N * 50 * 4 / 2
    assert session.steps == N // 2000


def test_what_is_mapped_trains_as_what_is_not(
    make_spec: Callable[..., ModelSpec], open_session: Opener, tmp_path: Path
) -> None:
    spec, section = make_spec(**WIDE), mapped(tmp_path).model_copy(update={"standardise": None})
    on_disk, in_memory = open_session(spec), open_session(spec)
    data = load(section, tmp_path, "float32")
    assert isinstance(fitted(data, on_disk.compiled.feeds, "float64").train.arrays["x"], Stored)
    train(on_disk, data, spec)
    train(in_memory, data.each(lambda _, split: Split(np.array(split.x), split.y)), spec)
    for name, value in in_memory.state().items():
        np.testing.assert_array_equal(on_disk.state()[name], value)


def test_numbers_on_the_disk_are_looked_at(tmp_path: Path) -> None:
    x = np.zeros((AT_ONCE + 5, 6), np.float32)
    x[AT_ONCE + 2, 3] = np.inf
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.zeros(len(x), int))
    data = load(Arrays(train=".", test="."), tmp_path, "float32")
    with pytest.raises(
        FacError, match=f"x of sample {AT_ONCE + 2} in the `train` split of `arrays` holds inf at \\[3\\]"
    ):
        fitted(data, FEEDS, "float32")


def test_parts_of_what_is_mapped_have_to_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = mapped(tmp_path).model_copy(update={"test": None, "test_share": 0.5})
    monkeypatch.setattr("fac.memory.memory", lambda: 1 << 20)
    with pytest.raises(FacError, match="give each split a folder of its own, from which samples are read as"):
        load(section, tmp_path, "float32")
