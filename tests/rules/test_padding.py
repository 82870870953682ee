"""Padding teaches nothing: what stands at places that masks leave out changes no step, by any rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Array, Session
from fac.pipeline import lowered
from fac.program.counted import Counted
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, linear

T, D, N = 5, 4, 7
BACKENDS = ("reference", "torch", "onnx")
TANH: Data = {"kind": "tanh"}
FC1 = linear("fc1", 6, **{"from": "x"})
LOOK: Data = {"kind": "attention", "name": "look", "heads": 2, "mask": "kept"}
MEAN: Data = {"kind": "mean", "name": "mean", "axes": (0,), "mask": "kept"}
FIRST: Data = {"kind": "select", "name": "first", "index": 0}
OUT = linear("out", 3)


def block(name: str) -> Data:
    body = (
        {"kind": "residual", "name": "mix", "body": ({"kind": "layer_norm"}, LOOK)},
        {
            "kind": "residual",
            "name": "feed",
            "body": ({"kind": "layer_norm"}, {"kind": "mlp", "name": "mlp", "activation": (TANH,)}),
        },
    )
    return {"kind": "sequence", "name": name, "body": body}


NETS: dict[str, Layers] = {
    "a mean": (FC1, TANH, block("one"), MEAN, OUT),
    "a token is selected": (FC1, TANH, block("one"), block("two"), FIRST, OUT),
    "a class token": (
        FC1,
        {"kind": "class_token", "name": "token"},
        block("one"),
        block("two"),
        FIRST,
        OUT,
    ),
    "across": (
        FC1,
        {"kind": "tanh", "name": "memory"},
        linear("fc2", 6, **{"from": "other"}),
        LOOK | {"from": ("fc2", "memory")},
        {"kind": "mean", "axes": (0,)},
        OUT,
    ),
    "tokens across": (
        FC1,
        {"kind": "tanh", "name": "memory"},
        linear("fc2", 6, **{"from": "other"}),
        LOOK | {"from": ("fc2", "memory")},
        OUT,
    ),
    "each token": (FC1, TANH, block("one"), OUT),
    "rnn": (FC1, TANH, {"kind": "rnn", "name": "r", "out": 6, "mask": "kept"}, OUT),
    "gru": (FC1, TANH, {"kind": "gru", "name": "r", "out": 6, "mask": "kept"}, OUT),
    "gru, all states": (
        *(FC1, TANH, {"kind": "gru", "name": "r", "out": 6, "mask": "kept", "gather": True}),
        *(linear("fc2", 5), TANH, MEAN, OUT),
    ),
}
RULES: dict[str, Data] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    "dfa": {"rule": "dfa"},
    "dfa that learns": {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
    "ldfa": {"rule": "ldfa", "rank": 2},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2},
    "rows of their own": {
        "routes": ({"to": "fc1", "matrix": {"kind": "random"}, "share": False},),
    },
}


def spec(net: str, feedback: Data | None = None) -> Data:
    loss: Data = {"kind": "cross_entropy"}
    if net == "each token":
        loss |= {"mask": "kept"}
    inputs: Data = {
        "x": {"shape": (T, D)},
        "kept": {"shape": (T + (net == "a class token"),), "mask": True},
    }
    if "across" in net:
        inputs["other"] = {"shape": (T, D)}
    return {
        "fac": 1,
        "name": "padding",
        "inputs": inputs,
        "layers": NETS[net],
        "loss": loss,
        "feedback": feedback or {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.5, "momentum": 0.5},
    }


def batch(net: str, noise: float) -> dict[str, Array]:
    """Sequences of 1 to T tokens, and so much noise behind their ends."""
    rng = np.random.default_rng(0)
    kept = (np.arange(T) < np.array([5, 1, 3, 5, 2, 4, 3])[:, None]).astype(float)
    x, far = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, D))
    y = rng.integers(0, 3, (N, T) if net in ("each token", "tokens across") else N)
    given = {"x": x + noise * far * (1 - kept[:, :, None]), "kept": kept, "y": y}
    if net == "a class token":
        given["kept"] = np.concatenate([np.ones((N, 1)), kept], 1)
    return given | ({"other": rng.standard_normal((N, T, D))} if "across" in net else {})


def after(session: Session, net: str, noise: float) -> dict[str, Array]:
    for _ in range(2):
        session.step(batch(net, noise))
    return session.state()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", NETS)
def test_what_stands_behind_the_end_teaches_nothing(net: str, rule: str) -> None:
    """Neither weights nor feedback, to 1e-12."""
    artifact = fac.compile(spec(net, RULES[rule]), "reference", "float64")
    one, other = (after(artifact.open(), net, noise) for noise in (0, 30))
    for name, value in one.items():
        assert distance(other[name], value) < 1e-12, name


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("net", NETS)
def test_nor_on_other_backends(net: str, backend: str) -> None:
    """Direct feedback: with noise there the steps are those of the reference without, to 1e-12."""
    data = spec(net, RULES["dfa that learns"])
    one = after(fac.compile(data, "reference", "float64").open(), net, 0)
    other = after(fac.compile(data, backend, "float64").open(), net, 30)
    for name, value in one.items():
        assert distance(other[name], value) < 1e-12, name


def without_masks(found: Any) -> Any:
    """A spec, or a part of one, in which nothing reads a mask."""
    if isinstance(found, dict):
        return {key: without_masks(value) for key, value in found.items() if key != "mask" or value is True}
    return tuple(map(without_masks, found)) if isinstance(found, tuple) else found


def of_ones(net: str, rule: str, backend: str, masked: bool) -> dict[str, Array]:
    data = spec(net, RULES[rule])
    given = batch(net, 0)
    given["kept"] = np.ones_like(given["kept"])
    session = fac.compile(data if masked else without_masks(data), backend, "float64").open()
    for _ in range(2):
        session.step(given)
    return session.state()


@pytest.mark.parametrize("rule", ["bp", "dfa that learns", "direct_ldfa"])
@pytest.mark.parametrize("net", NETS)
def test_a_mask_of_ones_is_none(net: str, rule: str) -> None:
    """It moves no place where an error enters, and changes no step, to 1e-12."""
    one, other = (of_ones(net, rule, "reference", masked) for masked in (False, True))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert distance(other[name], value) < 1e-12, name


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("net", NETS)
def test_nor_is_it_one_on_other_backends(net: str, backend: str) -> None:
    one = of_ones(net, "dfa that learns", "reference", False)
    for name, value in of_ones(net, "dfa that learns", backend, True).items():
        assert distance(one[name], value) < 1e-12, name


UNMASKED: Layers = (FC1, TANH, block("one"), {"kind": "mean", "axes": (0,)}, OUT)
LOOKED: Layers = (FC1, {"kind": "attention", "name": "look", "heads": 2}, MEAN, OUT)
ALONG: Layers = (FC1, {"kind": "layer_norm", "axes": (0,), "name": "norm"}, linear("fc2", 6), MEAN, OUT)
TWO: Layers = (FC1, TANH, block("one"), MEAN | {"mask": "others"}, OUT)
LAST: Layers = (FC1, TANH, block("one"), FIRST | {"index": -1}, OUT)
COUNTS: dict[str, tuple[Layers, dict[str, Counted | None]]] = {
    "a mean": (NETS["a mean"], {"fc1": Counted("kept"), "mean": None, "one.mix.look.qkv": Counted("kept")}),
    "a token is selected": (
        NETS["a token is selected"],
        {"fc1": Counted("kept"), "two.feed.mlp.fc1": Counted("kept"), "first": None},
    ),
    "the last token": (LAST, {"fc1": Counted("kept"), "one.feed.mlp.fc1": Counted("kept")}),
    "a state": (
        NETS["rnn"],
        {
            "fc1": Counted("kept"),
            "r.ih": Counted("kept"),
            "r.2.token": Counted("kept", at=2),
            "r.2.hh": Counted("kept", at=2),
            "r.2.sum": Counted("kept", at=2),
            "r.2.kept": None,
        },
    ),
    "a mean of all": (UNMASKED, {"fc1": None, "one.mix": None, "one.mix.look.qkv": None}),
    "others look at all": (LOOKED, {"fc1": None, "look.qkv": None, "look.attend": Counted("kept")}),
    "a norm along the tokens": (ALONG, {"fc1": None, "norm": Counted("kept")}),
    "another mask": (TWO, {"fc1": None, "one.mix": Counted("others"), "one.mix.look.qkv": None}),
}


@pytest.mark.parametrize("name", COUNTS)
def test_which_tokens_count(name: str) -> None:
    """Those of one mask, if on every way to a loss whoever reads tokens leaves the others out."""
    layers, expected = COUNTS[name]
    data = spec("a mean") | {"layers": layers}
    if name == "another mask":
        data["inputs"]["others"] = data["inputs"]["kept"]
    program = lowered(data)
    assert {node: program.counted.get(node) for node in expected} == expected


def test_a_class_token_stands_before_the_tokens_that_a_mask_counts() -> None:
    program = lowered(spec("a class token"))
    assert program.counted["fc1"] == Counted("kept", skip=1)
    assert program.counted["token"] == Counted("kept")


def test_what_two_losses_read_counts() -> None:
    """A head that reads all tokens makes all of them count, below both."""
    layers = (*NETS["a mean"], linear("each", 3, **{"from": "one"}))
    for mask, counts in ((None, False), ("kept", True)):
        losses = (
            {"kind": "cross_entropy", "of": "out"},
            {"kind": "cross_entropy", "of": "each", "target": "tags", **({"mask": mask} if mask else {})},
        )
        data = {k: v for k, v in spec("a mean").items() if k != "loss"} | {"layers": layers, "losses": losses}
        assert ("fc1" in lowered(data).counted) is counts


@pytest.mark.parametrize("rule", ["bp", "dfa", "ldfa", "direct_ldfa"])
def test_a_token_whose_label_is_ignored_teaches_nothing_where_no_other_looks_at_it(rule: str) -> None:
    layers = (FC1, TANH, linear("fc2", 5), TANH, OUT)
    data = spec("a mean", RULES[rule]) | {"layers": layers}
    data["inputs"] = {"x": data["inputs"]["x"]}
    data["loss"] = {"kind": "cross_entropy", "ignore_index": -100}
    artifact = fac.compile(data, "reference", "float64")
    found = []
    for noise in (0, 30):
        given, session = batch("a mean", noise), artifact.open()
        labels = np.random.default_rng(2).integers(0, 3, (N, T))
        session.step({"x": given["x"], "y": np.where(given["kept"] == 1, labels, -100)})
        found.append(session.state())
    for name, value in found[0].items():
        assert distance(found[1][name], value) < 1e-12, name
