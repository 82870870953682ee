"""Masked feedback (Crafton et al. 2019, arXiv 1903.02083), and what `fac check` says of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import fac
from fac.build.initial import draw
from fac.checks.masks import mask_leaves_out
from fac.program.lower import lower
from fac.program.program import Program

UNITS, CLASSES = 24, 10
Matrix = np.ndarray[Any, Any]


def data(feedback: dict[str, Any]) -> dict[str, Any]:
    """A net with two hidden layers."""
    hidden = [
        layer
        for name in ("fc1", "fc2")
        for layer in ({"kind": "linear", "name": name, "out": UNITS}, {"kind": "tanh"})
    ]
    return {
        "fac": 1,
        "name": "sparse",
        "input": {"shape": (7,)},
        "layers": (*hidden, {"kind": "linear", "name": "logits", "out": CLASSES}),
        "loss": {"kind": "cross_entropy"},
        "update": {"rule": "sgd", "lr": 0.1},
        "feedback": feedback,
    }


def program(**feedback: Any) -> Program:
    return lower(fac.ModelSpec.model_validate(data(feedback)))


def matrices(of: Program, seed: int = 0) -> list[Matrix]:
    """The B of each route, with its zeros where the entries alone are kept."""
    state = dict(draw([t for route in of.routes for t in route.tensors], seed))
    return [
        whole(state, route.ends.prefix, route.ends.reads)
        for route in of.routes
        if route.ends is not None and route.ends.weight is None
    ] or list(state.values())


def whole(state: dict[str, Matrix], prefix: str, reads: int) -> Matrix:
    """B [units, components] of what a `to` route keeps."""
    b: Matrix = state[f"{prefix}.B"]
    if f"{prefix}.columns" not in state:
        return b
    found = np.zeros((len(b), reads))
    np.put_along_axis(found, state[f"{prefix}.columns"].astype(int), b, 1)
    return found


@pytest.mark.parametrize("count", [1, 3, CLASSES])
def test_each_unit_reads_so_many_components(count: int) -> None:
    """T8: the entries that are not zero, exactly, in each row [units, classes]; those kept are those of the whole B."""
    whole = matrices(program(rule="dfa", init={"kind": "normal", "std": 1.0}))
    masked = matrices(
        program(rule="dfa", init={"kind": "normal", "std": 1.0}, mask={"per_unit": count}),
    )
    for full, part in zip(whole, masked, strict=True):
        assert (np.count_nonzero(part, axis=1) == count).all()
        np.testing.assert_array_equal(part[part != 0], full[part != 0])
    alike = ((masked[0] != 0) == (masked[1] != 0)).all()
    assert alike == (count == CLASSES)


def test_through_a_layer_the_units_are_those_below_it() -> None:
    """B is stored like the weight, [classes, units]."""
    route = {"through": "logits", "matrix": {"kind": "random", "init": "launay", "mask": {"per_unit": 2}}}
    (b,) = matrices(program(routes=(route,)))
    assert b.shape == (CLASSES, UNITS)
    assert (np.count_nonzero(b, axis=0) == 2).all()


def test_every_choice_is_equally_likely() -> None:
    """Pairs of 10 components: 45, each in about 1/45 of 9,600 rows; within 5 standard deviations."""
    of = program(rule="dfa", mask={"per_unit": 2})
    rows = [row for seed in range(200) for b in matrices(of, seed) for row in b]
    seen = Counter(tuple(np.flatnonzero(row)) for row in rows)
    mean = len(rows) / 45
    assert len(seen) == 45
    assert max(abs(n - mean) for n in seen.values()) < 5 * np.sqrt(mean)


def test_density_is_a_probability() -> None:
    """Within 5 standard deviations of the binomial law, in all and at each entry of 200 matrices."""
    of = program(rule="dfa", mask={"density": 0.3})
    kept = np.array([b != 0 for seed in range(100) for b in matrices(of, seed)])
    assert abs(kept.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / kept.size)
    assert np.abs(kept.mean(axis=0) - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / len(kept))


def test_a_step_is_that_of_the_gather_form() -> None:
    """T8: with one component each, E[n, i] = b_i e[n, c(i)]: a gather and a multiply. Relative 1e-12 in float64."""
    text = data({"rule": "dfa", "mask": {"per_unit": 1}})
    session = fac.compile(text, backend="reference", precision="float64").open()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 7)), rng.integers(0, CLASSES, 16)
    old = session.state()
    session.step(x, y)
    new = session.state()

    h1 = np.tanh(x @ old["fc1.weight"].T + old["fc1.bias"])
    h2 = np.tanh(h1 @ old["fc2.weight"].T + old["fc2.bias"])
    z = h2 @ old["logits.weight"].T + old["logits.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    e = (p / p.sum(1, keepdims=True) - np.eye(CLASSES)[y]) / len(x)
    for name, read, out in (("fc1", x, h1), ("fc2", h1, h2)):
        b = whole(old, f"{name}.feedback", CLASSES)
        component = np.abs(b).argmax(1)
        error = e[:, component] * b[np.arange(UNITS), component] * (1 - out**2)
        moved = (old[f"{name}.weight"] - new[f"{name}.weight"]) / 0.1
        np.testing.assert_allclose(moved, error.T @ read, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mask", [{"density": 0.1}, {"density": 0.25}])
def test_what_is_left_out_is_what_the_check_expects(mask: dict[str, Any]) -> None:
    """Counted in 600 drawn matrices, within 5 standard errors of the mean; the message has two digits."""
    of = program(rule="dfa", mask=mask)
    (finding,) = mask_leaves_out(of)
    found = re.search(r"this mask, ([\d.]+) of the (\d+) (components|units)", finding.message)
    assert found
    axis = 0 if found[3] == "components" else 1
    assert int(found[2]) == (CLASSES if found[3] == "components" else UNITS)
    counts = np.array([(~b.any(axis)).sum() for seed in range(300) for b in matrices(of, seed)])
    expected = float(found[1])
    assert abs(counts.mean() - expected) < 5 * counts.std() / np.sqrt(len(counts)) + 0.05 * expected


@pytest.mark.parametrize("mask", [{"per_unit": 1, "rank": 4}, {"per_unit": 2, "rank": 3}])
@pytest.mark.parametrize("shared", [False, True])
def test_of_so_many_choices_what_is_left_out_is_known(mask: dict[str, int], shared: bool) -> None:
    """Exactly, of each seed: classes that no choice holds."""
    of = program(rule="dfa", mask=mask, shared=shared)
    (finding,) = mask_leaves_out(of)
    left = CLASSES - mask["per_unit"] * mask["rank"]
    assert finding.message.startswith(
        f"with this mask, {left} of the {CLASSES} components of the error reach none"
    )
    for seed in range(5) if not shared else ():
        assert all((~b.any(0)).sum() == left for b in matrices(of, seed))


@pytest.mark.parametrize("mask", [{"per_unit": 1, "rank": 4}, {"density": 0.1}])
def test_the_remedy_is_the_least_that_is_enough(mask: dict[str, Any]) -> None:
    (finding,) = mask_leaves_out(program(rule="dfa", mask=mask))
    found = re.match(r"`(\w+): ([\d.]+)` or more", finding.help or "")
    assert found
    key, least = found[1], float(found[2])
    step = 1 if key == "per_unit" else 0.01
    value = int(least) if key == "per_unit" else least
    assert list(mask_leaves_out(program(rule="dfa", mask=mask | {key: value}))) == []
    assert len(list(mask_leaves_out(program(rule="dfa", mask=mask | {key: value - step})))) == 1


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        ({"rule": "dfa", "mask": {"per_unit": 11}}, "`dfa`: `per_unit: 11` of an error of 10 components"),
        (
            {"rule": "dfa", "mask": {"density": 0.3}, "learn": {"rule": "kolen_pollack"}},
            "`dfa`: a matrix that is masked whole cannot learn: a step would fill its zeros",
        ),
        (
            {"rule": "dfa", "mask": {"per_unit": 1, "rank": 10}, "learn": {"rule": "kolen_pollack"}},
            "`dfa`: a matrix that learns does not keep the rank of its mask: each unit takes a step of its own",
        ),
        (
            {"rule": "dfa", "mask": {"per_unit": 1, "rank": 10}, "init": "orthogonal"},
            "`dfa`: entries by the law `orthogonal` depend on one another, and are no products",
        ),
        (
            {
                "routes": (
                    {"through": "logits", "matrix": {"kind": "random", "mask": {"per_unit": 1, "rank": 9}}},
                )
            },
            "the feedback of `logits`: `mask.rank` is that of a matrix of a `to` route",
        ),
        (
            {
                "routes": (
                    {
                        "through": "logits",
                        "matrix": {
                            "kind": "random",
                            "mask": {"per_unit": 2},
                            "learn": {"rule": "kolen_pollack"},
                        },
                    },
                )
            },
            "the feedback of `logits`: a matrix that is masked whole cannot learn: a step would fill its zeros",
        ),
        (
            {"routes": ({"through": "logits", "matrix": {"kind": "random", "shared": True}},)},
            "the feedback of `logits`: what replaces a weight has the shape of that weight, and shares no rows with "
            "another",
        ),
    ],
)
def test_a_mask_that_cannot_be(feedback: dict[str, Any], message: str) -> None:
    assert message in [
        finding.message for finding in fac.check(data(feedback)) if finding.rule.code == "FAC308"
    ]


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "dfa", "mask": {"density": 1.0}},
        {"routes": ({"to": "fc1", "matrix": {"kind": "random", "mask": {"density": 1.0}}},)},
    ],
)
def test_a_mask_that_keeps_all_has_no_effect(feedback: dict[str, Any]) -> None:
    found = [finding for finding in fac.check(data(feedback)) if finding.rule.code == "FAC314"]
    assert [finding.path[-1] for finding in found] == ["mask"]
    plain = (
        {"rule": "dfa"} if "rule" in feedback else {"routes": ({"to": "fc1", "matrix": {"kind": "random"}},)}
    )
    for one, other in zip(matrices(program(**feedback)), matrices(program(**plain)), strict=True):
        np.testing.assert_array_equal(one, other)
