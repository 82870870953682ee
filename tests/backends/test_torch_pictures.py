"""Bytes that a device keeps: the numbers that the host makes of them, to the bit, with nothing but row numbers sent.

Without a GPU the same functions run on tensors of the CPU, and on tensors that have no numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import fac
from fac.backend import Array, Precision
from fac.training.dataset import Augment, Dataset, Split
from fac.training.loop import train
from fac.training.scaling import Scaling, measured, of_bytes
from fac.training.stepping import Stepping
from fac.training.stored import Fed, Stored
from fac_torch.pictures import Kept, has_room
from fac_torch.session import TorchSession

SHAPE = (3, 4, 5)
SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "kept",
    "input": {"shape": list(SHAPE)},
    "layers": [
        {"kind": "conv2d", "out": 2, "kernel": 3},
        {"kind": "flatten"},
        {"kind": "linear", "out": 2},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "bp"},
    "update": {"rule": "sgd", "lr": 0.1},
    "train": {"epochs": 2, "batch": 8},
}
WAYS = (None, Augment(flip=True), Augment(crop=2), Augment(flip=True, crop=1))


def images(n: int = 40, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, channels, *SHAPE[1:]), np.uint8)


def opened(precision: Precision = "float32") -> TorchSession:
    session = fac.compile(fac.load(SPEC), backend="torch", precision=precision).open(device="cpu")
    assert isinstance(session, TorchSession)
    return session


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session on a CPU keeps bytes as one on a GPU does."""
    monkeypatch.setattr(TorchSession, "keep_bytes", TorchSession.kept)


@pytest.mark.usefixtures("keeping")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("raw", "scaling"),
    [
        (images(), measured(images(), (1, 2), "x")),
        (images(), of_bytes()),
        (images(40, 1), measured(images(40, 1), (1, 2), "x")),
    ],
    ids=["colours", "one level", "grey"],
)
def test_the_bits_are_those_of_the_host(
    raw: NDArray[np.uint8], scaling: Scaling, precision: Precision
) -> None:
    session, rows = opened(precision), np.array([7, 0, 33, 7, 39])
    for how in WAYS:
        stored = Stored(raw, scaling, precision, raw.shape[1:], how)
        kept: Any = stored.kept(session)
        found = session.take_bytes(kept, stored.moves(rows, 3, 4), stored.sample)
        expected = session.place(stored.trained(rows, 3, 4))
        assert found.dtype == expected.dtype
        assert found.stride() == expected.stride(), "and laid out alike, on which the bits of sums depend"
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.usefixtures("keeping")
def test_what_the_host_has_to_do_is_not_kept() -> None:
    """Numbers, means of each pixel, and transforms of torchvision."""
    session, raw, sample = opened(), images(), SHAPE
    by = measured(raw, (1, 2), "x")
    each = measured(raw, (), "x")
    other: Any = Augment(transforms=lambda images, seed: images)  # type: ignore[arg-type]
    assert Stored(raw, by, "float32", sample).kept(session) is not None
    assert Stored(raw.astype(np.float32), by, "float32", sample).kept(session) is None
    assert Stored(raw, None, "float32", sample).kept(session) is None
    assert Stored(raw, each, "float32", sample).kept(session) is None
    assert Stored(raw, by, "float32", sample, other).kept(session) is None


def data() -> Dataset:
    train, test = (Split(images(n), np.arange(n) % 2) for n in (40, 11))
    return Dataset("d", train, test, scale={"x": (1, 2)}, augment=Augment(flip=True, crop=1))


def test_a_training_is_the_same_and_sends_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    on_host, on_device = opened(), opened()
    first = train(on_host, data(), fac.load(SPEC))
    monkeypatch.setattr(TorchSession, "keep_bytes", TorchSession.kept)
    placed: list[tuple[int, ...]] = []
    place = TorchSession.place

    def seen(session: TorchSession, array: Array) -> torch.Tensor:
        placed.append(array.shape)
        return place(session, array)

    monkeypatch.setattr(TorchSession, "place", seen)
    second = train(on_device, data(), fac.load(SPEC))
    assert placed == [(40,), (11,)], "the labels of both splits, once"
    for name, value in on_host.state().items():
        np.testing.assert_array_equal(on_device.state()[name], value)
    assert second.test_loss == first.test_loss
    assert second.test_accuracy == first.test_accuracy


@pytest.mark.usefixtures("keeping")
def test_what_explains_a_training_reads_the_same_on_the_host() -> None:
    session = opened()
    raw, y = images(), np.arange(40) % 2
    stored = Stored(raw, measured(raw, (1, 2), "x"), "float32", SHAPE, Augment(flip=True, crop=1))
    family = Stepping(session, Split(stored, y), fac.load(SPEC))
    for step in (0, 3, 1):
        taken, read = family.taken(step), family.read(step)
        for name in ("x", "y"):
            np.testing.assert_array_equal(taken[name].numpy(), read[name])
    np.testing.assert_array_equal(family.fixed()["x"].numpy(), stored[family.rows(0)])


def test_nothing_is_read_back_nor_made_on_the_host() -> None:
    """On tensors without numbers: what waits for one fails, and so does what mixes them with tensors of the host."""
    kept = Kept(
        *(
            torch.empty(shape, dtype=of, device="meta")
            for shape, of in (((40, *SHAPE), torch.uint8), ((3, 256), torch.float32))
        )
    )
    rows, moves = (torch.empty(shape, dtype=torch.int64, device="meta") for shape in ((8,), (3, 8)))
    for found in (kept.numbers(rows), kept.moved(rows, moves, 1)):
        assert (found.shape, found.dtype, found.device.type) == ((8, *SHAPE), torch.float32, "meta")


def test_beside_a_cpu_and_without_room_the_host_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = images()
    stored = Stored(raw, measured(raw, (1, 2), "x"), "float32", SHAPE)
    assert stored.kept(opened()) is None
    assert Fed(opened(), Split(stored, np.arange(40) % 2)).kept == {}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    device = torch.device("cuda")
    assert (has_room(device, 50), has_room(device, 51)) == (True, False)
