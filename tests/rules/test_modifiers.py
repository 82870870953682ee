"""What may be said of a full matrix on a direct route, alone and together: `mask`, `shared`, `learn`, `scale`, a rank.

Each is held against matrices that are written out: a twin without modifiers that is given them whole.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from fac.build.costs import step_cost
from fac.build.initial import draw
from fac.diagnostics import FacError
from fac.pipeline import check, lowered
from fac.step.ir import Phase
from tests.rules.nets import BP, SGD, Array, Spec, State, batch, dense, distance, gradients, opened, put, spec

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
KP: Spec = {"rule": "kolen_pollack"}
WIDTHS = {"fc1": 9, "fc2": 12, "fc3": 7}
CLASSES = 5
CHAIN = dense(*WIDTHS.values(), CLASSES, act="tanh")
LINEAR = dense(*WIDTHS.values(), CLASSES, act=None)
RANK = 3

MASKS: dict[str, Spec] = {
    "whole": {},
    "one": {"mask": {"per_unit": 1}},
    "three": {"mask": {"per_unit": 3}},
    "ranked": {"mask": {"per_unit": 2, "rank": 3}},
    "density": {"mask": {"density": 0.6}},
}
SHARED = {"own": {}, "shared": {"shared": True}}
LEARN: dict[str, Spec] = {"fixed": {}, "learned": {"learn": KP}}
SOURCES = ("loss", "task", "targets")
REFUSED = {("ranked", "learned"), ("density", "learned")}
COMBINED = [
    (mask, shared, learn, source)
    for mask, shared, learn, source in product(MASKS, SHARED, LEARN, SOURCES)
    if (mask, learn) not in REFUSED
]


def feedback(source: str, **said: Any) -> Spec:
    """A route to each hidden layer, of matrices of which the same is said."""
    subspaces: tuple[Spec, ...] = ({"name": "task", "of": "loss", "rank": RANK},) if source == "task" else ()
    matrix = {"kind": "random", "init": {"kind": "normal", "std": 0.7}, "scale": 0.4, **said}
    return {
        "subspaces": subspaces,
        "routes": tuple({"to": layer, "from": source, "matrix": matrix} for layer in WIDTHS),
    }


def written_out(state: State, layer: str, reads: int) -> Array:
    """B [units, reads] of a layer, from what is kept of it."""
    prefix = f"{layer}.feedback"
    shared = f"{prefix}.B" not in state
    if shared:
        prefix = "fc4.feedback"
    kept, writes = state[f"{prefix}.B"], WIDTHS[layer]
    factor = np.sqrt(len(kept) / writes)
    if f"{prefix}.columns" in state:
        found = np.zeros((len(kept), reads))
        np.put_along_axis(found, state[f"{prefix}.columns"].astype(int), kept, 1)
        kept = found
    result: Array = factor * kept[:writes]
    return result


@BACKENDS
@pytest.mark.parametrize(("mask", "shared", "learn", "source"), COMBINED, ids="-".join)
def test_every_combination_is_what_it_is_made_of(
    mask: str, shared: str, learn: str, source: str, backend: str
) -> None:
    """T7, T8: slices and gathers are the products with matrices written out; what learns moves as those would."""
    said = MASKS[mask] | SHARED[shared] | LEARN[learn]
    session = opened(spec(CHAIN, feedback(source, **said)), backend)
    twin = opened(spec(CHAIN, feedback(source, learn=KP)), backend)
    (x, y), state = batch(outputs=CLASSES), session.state()
    reads = RANK if source == "task" else CLASSES
    whole = {f"{n}.feedback.B": written_out(state, n, reads) for n in WIDTHS}
    put(twin, {n: a for n, a in state.items() if n in twin.state()} | whole)
    found, expected = gradients(session, x, y), gradients(twin, x, y)
    layers = {n for n in found if n.endswith((".weight", ".bias"))}
    assert distance({n: found[n] for n in layers}, {n: expected[n] for n in layers}) <= 1e-14
    taught = {n: g for n, g in found.items() if n.endswith(".B") and g.any()}
    assert bool(taught) == (learn == "learned")
    for name, gradient in taught.items():
        prefix = name.rpartition(".")[0]
        total = np.zeros((len(gradient), reads))
        for layer, writes in WIDTHS.items():
            if name in (f"{layer}.feedback.B", "fc4.feedback.B"):
                total[:writes] += np.sqrt(len(gradient) / writes) * expected[f"{layer}.feedback.B"]
        if f"{prefix}.columns" in state:
            total = np.take_along_axis(total, state[f"{prefix}.columns"].astype(int), 1)
        np.testing.assert_allclose(gradient, total, atol=1e-14, rtol=0)


@pytest.mark.parametrize(("mask", "learn"), sorted(REFUSED))
@pytest.mark.parametrize("shared", SHARED)
def test_what_has_no_meaning_together_is_refused(mask: str, learn: str, shared: str) -> None:
    said = MASKS[mask] | SHARED[shared] | LEARN[learn]
    found = [f for f in check(spec(CHAIN, feedback("loss", **said))) if f.rule.severity == "error"]
    assert {f.rule.code for f in found} == {"FAC308"}
    assert all("learn" in f.message for f in found)


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("mask", ["whole", "all"])
def test_t2_the_weights_above_give_backpropagation_in_a_linear_net(mask: str, shared: str) -> None:
    """Entries of all columns are a whole matrix; R holds what several layers can share: here all are as wide."""
    layers = dense(6, 6, 6, 4, act=None)
    said: Spec = {"mask": {"per_unit": 4}} if mask == "all" else {}
    session = opened(spec(layers, {"rule": "dfa", "shared": shared == "shared", **said}))
    x, y = batch()
    state, above = session.state(), np.eye(4)
    if shared == "shared":
        put(session, {"fc2.weight": np.eye(6), "fc3.weight": np.eye(6)})
        state = session.state()
    for i in (4, 3, 2):
        above = above @ state[f"fc{i}.weight"]
        prefix = "fc4.feedback" if shared == "shared" else f"fc{i - 1}.feedback"
        b = above.T
        if mask == "all":
            b = np.take_along_axis(b, state[f"{prefix}.columns"].astype(int), 1)
        put(session, {f"{prefix}.B": b})
    exact = put(opened(spec(layers, BP)), {n: a for n, a in session.state().items() if "feedback" not in n})
    assert distance(gradients(session, x, y), gradients(exact, x, y)) <= 2e-14


@pytest.mark.parametrize(
    ("units", "of", "each"), [(24, 10, 1), (24, 10, 3), (7, 5, 4), (40, 8, 8), (3, 8, 2)]
)
def test_no_component_is_read_more_often_than_another(units: int, of: int, each: int) -> None:
    """By more than one, of the first units, however many; each unit reads different ones."""
    matrix = {"kind": "random", "mask": {"per_unit": each}}
    program = lowered(spec(dense(units, of), {"routes": ({"to": "fc1", "matrix": matrix},)}))
    for seed in range(20):
        columns = draw(program.routes[0].tensors, seed)["fc1.feedback.columns"]
        assert columns.shape == (units, each)
        assert all(len(set(row)) == each for row in columns)
        for first in range(1, units + 1):
            counts = np.bincount(columns[:first].astype(int).ravel(), minlength=of)
            assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_choices_that_units_share_have_their_number_as_rank(rank: int) -> None:
    said = {"init": "launay", "mask": {"per_unit": 3, "rank": rank}}
    program = lowered(spec(dense(400, CLASSES), {"rule": "dfa", **said}))
    state = draw(program.routes[0].tensors, 0)
    b = np.zeros((400, CLASSES))
    np.put_along_axis(b, state["fc1.feedback.columns"].astype(int), state["fc1.feedback.B"], 1)
    assert np.linalg.matrix_rank(b) == rank
    draws = np.array([draw(program.routes[0].tensors, seed)["fc1.feedback.B"] for seed in range(200)])
    assert abs(draws.std() * np.sqrt(400 * CLASSES) - 1) < 0.05


@pytest.mark.parametrize("each", [None, 1, 3])
def test_the_law_of_crafton(each: int | None) -> None:
    """U(-h, h), h = 1 / sqrt(n / sqrt(C s)), or 1 / sqrt(n) for a whole matrix."""
    mask = {} if each is None else {"mask": {"per_unit": each}}
    program = lowered(spec(dense(900, CLASSES), {"rule": "dfa", "init": "crafton", **mask}))
    b = np.abs(draw(program.routes[0].tensors, 0)["fc1.feedback.B"])
    h = 1 / np.sqrt(900 if each is None else 900 / np.sqrt(CLASSES * each))
    assert b.max() <= h
    assert abs(b.mean() / h - 0.5) < 0.03


def test_t7_all_layers_have_the_first_rows_of_one_matrix() -> None:
    """Launay: R ~ N(0, 1) / sqrt(d_max C), so that B_l = sqrt(d_max / d_l) R[:d_l] has std 1 / sqrt(d_l C)."""
    program = lowered(spec(dense(300, 1200, 600, CLASSES), {"rule": "dfa", "shared": True}))
    assert [t.name for t in program.arrays if "feedback" in t.name] == ["fc4.feedback.B"]
    (r,) = (t for t in program.arrays if "feedback" in t.name)
    assert r.shape == (1200, CLASSES)
    drawn = draw((r,), 0)[r.name]
    for units in (300, 1200, 600):
        b = np.sqrt(1200 / units) * drawn[:units]
        assert abs(b.std() * np.sqrt(units * CLASSES) - 1) < 0.1


def test_each_head_has_a_matrix_to_share() -> None:
    layers = (*CHAIN, {"kind": "linear", "name": "aux", "from": "act2", "out": 4})
    data = spec(layers, {"rule": "dfa", "shared": True})
    del data["loss"]
    losses = ({"kind": "cross_entropy", "of": "fc4"}, {"kind": "cross_entropy", "of": "aux", "target": "z"})
    shapes = {t.name: t.shape for t in lowered(data | {"losses": losses}).arrays if "feedback" in t.name}
    assert shapes == {"fc4.feedback.B": (12, CLASSES), "aux.feedback.B": (12, 4)}


def test_a_matrix_that_nobody_shares_is_told() -> None:
    found = check(spec(dense(6, 4), {"rule": "dfa", "shared": True}))
    assert [(f.rule.code, f.path) for f in found] == [("FAC314", ("feedback", "shared"))]


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_t34_its_cost_is_that_of_the_entries(each: int, shared: bool) -> None:
    """N s n multiply-adds; s n words, and as many columns."""
    rule: Spec = {"rule": "dfa", "mask": {"per_unit": each}, "shared": shared, "learn": KP}
    step = step_cost(lowered(spec(CHAIN, rule)), 12)
    for layer in step.layers:
        if layer.name in WIDTHS:
            entries = each * WIDTHS[layer.name]
            assert layer.phases[Phase.ERROR].macs == 12 * entries
            assert layer.phases[Phase.ERROR].words == 2 * entries
            assert layer.phases[Phase.LEARN].macs == 12 * entries


def test_t15_the_balance_of_direct_feedback_that_learns() -> None:
    """<W_i, G_i> + <b_i, g_i> = <B_i, gB_i>, the entries that there are: relu, each layer, each batch."""
    x, y = batch(outputs=CLASSES)
    layers = dense(*WIDTHS.values(), CLASSES)
    session = opened(spec(layers, {"rule": "dfa", "mask": {"per_unit": 2}, "learn": KP}))
    state, found = session.state(), gradients(session, x, y)
    for n in WIDTHS:
        below = sum(float(np.vdot(state[f"{n}.{p}"], found[f"{n}.{p}"])) for p in ("weight", "bias"))
        above = float(np.vdot(state[f"{n}.feedback.B"], found[f"{n}.feedback.B"]))
        assert abs(below - above) <= 1e-15


def test_t19_from_zero_sparse_feedback_moves_the_first_weight_and_the_biases() -> None:
    x, y = batch(outputs=CLASSES)
    session = opened(spec(CHAIN, {"rule": "dfa", "mask": {"per_unit": 1}, "shared": True}))
    names = [n for n in session.state() if n.endswith((".weight", ".bias"))]
    put(session, {n: np.zeros_like(session.state()[n]) for n in names})
    moving = {n for n, g in gradients(session, x, y).items() if g.any()}
    assert moving == {"fc1.weight", "fc1.bias", "fc2.bias", "fc3.bias", "fc4.bias"}


MAPS: tuple[Spec, ...] = (
    {"kind": "conv2d", "name": "fc1", "out": 5, "kernel": 3, "padding": 1},
    {"kind": "tanh", "name": "act1"},
    {"kind": "flatten", "name": "flat"},
    {"kind": "linear", "name": "fc2", "out": 8},
    {"kind": "tanh", "name": "act2"},
    {"kind": "linear", "name": "fc4", "out": CLASSES},
)
TOKENS: tuple[Spec, ...] = (
    {"kind": "linear", "name": "fc1", "out": 6},
    {"kind": "tanh", "name": "act1"},
    {"kind": "linear", "name": "fc2", "out": 9},
    {"kind": "tanh", "name": "act2"},
    {"kind": "linear", "name": "fc4", "out": CLASSES},
)
POOLED = (*TOKENS[:4], {"kind": "mean", "name": "pool", "axes": (0,)}, TOKENS[4])


@BACKENDS
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("layers", "shape", "widths"),
    [(MAPS, (2, 3, 3), (45, 8)), (TOKENS, (4, 7), (6, 9)), (POOLED, (4, 7), (6, 9))],
    ids=["maps", "tokens", "pooled"],
)
def test_in_maps_and_among_tokens(
    layers: tuple[Spec, ...], shape: tuple[int, ...], widths: tuple[int, int], shared: bool, backend: str
) -> None:
    """As in vectors: every number of a map has entries of its own, tokens share those of a layer."""
    rule: Spec = {"rule": "dfa", "mask": {"per_unit": 2}, "shared": shared, "learn": KP}
    session, twin = (
        opened(spec(layers, f) | {"input": {"shape": shape}}, backend)
        for f in (rule, {"rule": "dfa", "learn": KP})
    )
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, *shape))
    y = rng.integers(0, CLASSES, (6, 4) if layers is TOKENS else 6)
    state = session.state()
    for layer, writes in zip(("fc1", "fc2"), widths, strict=True):
        prefix = "fc4.feedback" if shared else f"{layer}.feedback"
        kept = state[f"{prefix}.B"]
        b = np.zeros((len(kept), CLASSES))
        np.put_along_axis(b, state[f"{prefix}.columns"].astype(int), kept, 1)
        put(twin, {f"{layer}.feedback.B": np.sqrt(len(kept) / writes) * b[:writes]})
    found, expected = gradients(session, x, y), gradients(twin, x, y)
    assert distance({n: g for n, g in found.items() if "feedback" not in n}, expected) <= 1e-14
    if not shared:
        for layer in ("fc1", "fc2"):
            columns = state[f"{layer}.feedback.columns"].astype(int)
            kept = np.take_along_axis(expected[f"{layer}.feedback.B"], columns, 1)
            np.testing.assert_allclose(found[f"{layer}.feedback.B"], kept, atol=1e-14, rtol=0)


@BACKENDS
@pytest.mark.parametrize(
    ("wrong", "says"), [(5.0, "has 5 at [2, 0]"), (-1.0, "has -1 at [2, 0]"), (0.5, "has 0.5 at [2, 0]")]
)
def test_columns_that_there_are_not_are_refused(wrong: float, says: str, backend: str) -> None:
    """They are looked up without a question."""
    session = opened(spec(CHAIN, {"rule": "dfa", "mask": {"per_unit": 1}}), backend)
    state = session.state()
    columns = state["fc1.feedback.columns"].copy()
    columns[2, 0] = wrong
    with pytest.raises(FacError, match="has to hold whole numbers from 0 to 4") as refused:
        session.load_state(state | {"fc1.feedback.columns": columns})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "rule", [{"mask": {"per_unit": 2}}, {"shared": True}, {"mask": {"per_unit": 1, "rank": 5}}]
)
def test_the_short_hand_and_its_long_form_are_one_step(rule: Spec) -> None:
    x, y = batch(outputs=CLASSES)
    long = {
        "routes": tuple({"to": n, "matrix": {"kind": "random", "init": "launay", **rule}} for n in WIDTHS)
    }
    a, b = (opened(spec(CHAIN, f, SGD)) for f in ({"rule": "dfa", **rule}, long))
    assert a.state().keys() == b.state().keys()
    assert distance(gradients(a, x, y), gradients(b, x, y)) == 0
