"""What backends leave to be chosen: which knobs there are for which step, and that each way is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.backend import Artifact
from fac.diagnostics import FacError
from fac.testing.nets import NET, batch, conv2d, linear, spec
from fac_onnx.tuning import LARGE, SIZES
from fac_torch import tuning

MAPS = (
    conv2d("c1", 4, 3, padding=1),
    {"kind": "max_pool2d", "kernel": 2},
    conv2d("c2", 5, 3),
    {"kind": "flatten"},
    linear("out", 3),
)
SHAPE = (2, 8, 8)


def ways(artifact: Artifact) -> dict[str, list[str]]:
    """But those that are gone where somebody asks for them."""
    return {knob.name: [*knob.ways] for knob in artifact.knobs("cpu") if not knob.asked}


def conv(**fields: Any) -> dict[str, Any]:
    return spec(MAPS, shape=SHAPE, **fields)


def trained(artifact: Artifact, shape: tuple[int, ...] = (5,), blocks: int = 1) -> dict[str, Any]:
    session = artifact.open(device="cpu")
    given = [batch(shape=shape, seed=seed) for seed in range(8)]
    for start in range(0, 8, blocks):
        session.block(given[start : start + blocks])
    return session.state() | {"accuracy": np.array(session.evaluate(*given[0])["loss"])}


def test_what_there_is_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "float32_libraries", lambda kind: ("highest", "medium"))
    products, maps = ["highest", "medium"], ["last", "rows"]
    assert ways(fac.compile(spec(NET), "torch")) == {"products": products}
    both = (*MAPS[:-1], linear("fc", 90), *MAPS[-1:])
    assert ways(fac.compile(spec(both, shape=SHAPE), "torch")) == {"products": products, "maps": maps}
    assert ways(fac.compile(conv(), "torch", "float64")) == {"maps": maps}
    assert ways(fac.compile(conv(), "torch", disable=["channels_last"])) == {"maps": ["rows"]}
    assert ways(fac.compile(conv(), "torch")) == {"maps": maps}  # hardly any product
    assert ways(fac.compile(spec(NET), "onnx")) == {"block": [str(size) for size in SIZES]}
    assert ways(fac.compile(spec(NET), "reference")) == {}
    monkeypatch.setattr("fac_onnx.tuning.LARGE", 1)
    assert ways(fac.compile(spec(NET), "onnx")) == {}
    assert LARGE > 1


def test_bfloat16_products_are_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "float32_libraries", lambda kind: ("highest",))
    made = fac.compile(spec(NET), "torch")
    assert ways(made) == {"products": ["highest"]}
    with pytest.raises(FacError, match="`products` is `highest` here, and not `medium`"):
        made.choosing({"products": "medium"}, "cpu")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_maps_row_by_row_are_the_same_step(accumulate: int) -> None:
    """And so are steps in the place of which others come."""
    made = fac.compile(conv(train={"accumulate": accumulate}), "torch", "float64")
    other = made.choosing({"maps": "rows"}, "cpu")
    assert "channels_last" in made.passes
    assert "channels_last" not in other.passes
    assert ways(other) == {"maps": ["rows"]}
    assert other.chosen("cpu") == {"maps": "rows", "step": "eager"}
    anchors = [artifact.other for artifact in (made, other)]
    assert [one is None or "'last'" in one.source for one in anchors] == [True, accumulate == 1]  # type: ignore[attr-defined]
    one, two = trained(made, SHAPE), trained(other, SHAPE)
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-12, err_msg=name)


def test_a_session_goes_the_way_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of views beside it, too."""
    monkeypatch.setattr(tuning, "float32_libraries", lambda kind: ("highest", "medium"))
    made = fac.compile(spec(NET), "torch")
    assert made.open(device="cpu").matmul == "highest"  # type: ignore[attr-defined]
    session = made.choosing({"products": "medium"}, "cpu").open(device="cpu")
    assert session.matmul == "medium"  # type: ignore[attr-defined]
    session.errors(*batch())
    (view,) = session._views.values()
    assert view.matmul == "medium"  # type: ignore[attr-defined]


def test_blocks_of_every_size_are_the_same_to_the_bit() -> None:
    made = fac.compile(spec(NET, feedback={"rule": "dfa"}), "onnx")
    (knob,) = made.knobs("cpu")
    assert knob.exact
    found = []
    for size in ("1", "8"):
        artifact = made.choosing({"block": size}, "cpu")
        assert artifact.open(device="cpu").at_once == int(size)
        found.append(trained(artifact, blocks=int(size)))
    for name, array in found[0].items():
        np.testing.assert_array_equal(found[1][name], array, err_msg=name)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of torch, and nobody has said how many there are to be."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_is_a_choice_where_nobody_has_said_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fac.compile(spec(NET), "torch", "float64")
    (knob,) = (knob for knob in made.knobs("cpu") if not knob.asked)
    assert (knob.name, [*knob.ways], knob.usual) == ("threads", ["all", "1"], "all")
    seen = []
    for way in knob.ways:
        session: Any = made.choosing({"threads": way}, "cpu").open(device="cpu")
        step = session.module.step

        def spied(*given: Any, step: Any = step) -> Any:
            seen.append(torch.get_num_threads())
            return step(*given)

        session.module.step = spied
        session.step(*batch())
        assert torch.get_num_threads() == 2
    assert seen == [2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert ways(made) == {}
