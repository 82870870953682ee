"""What layer-wise feedback conserves, and what that says of alignment (after arXiv 2306.01870).

Each law is of a quadratic form C of the state, and says of a step from s to s' that C(s') - C(s) = C(s' - s): what is
of first order in the step vanishes, and along the flow C stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from fac.backend import Session
from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table

Array = NDArray[np.float64]
State = Mapping[str, Array]
Law = Callable[[State, int], Array]
"""`law(state, i)`: C of hidden layer i, which is a number, or has one for each neuron or each pair of them."""

SAMPLES, BATCH, SHOWN = 128, 32, 50
THROUGH = "feedback={routes: [{through: 'fc[2-9]', matrix: {%s}}]}"
EXACT, APART = 1e-12, 1e-3
"""Rounding of some hundred steps stays below the one; what a law does not hold for drifts by more than the other."""


# -- laws -----------------------------------------------------------------------------------------------------------


def _own(state: State, i: int) -> Array:
    """|W|^2 / 2 + |b|^2 / 2."""
    parts = (state[f"fc{i}.{part}"] for part in ("weight", "bias") if f"fc{i}.{part}" in state)
    return np.asarray(sum(float(np.vdot(array, array)) for array in parts) / 2)


def _sent(state: State, i: int) -> Array:
    """F through the layer above, of the shape of its weight."""
    whole = state.get(f"fc{i + 1}.feedback.B")
    return whole if whole is not None else (state[f"fc{i + 1}.feedback.Q"] @ state[f"fc{i + 1}.feedback.P"]).T


def fixed(state: State, i: int) -> Array:
    """|W|^2 / 2 + |b|^2 / 2 - <F, W'>."""
    return np.asarray(_own(state, i) - np.vdot(_sent(state, i), state[f"fc{i + 1}.weight"]))


def square(part: str) -> Law:
    """|W|^2 / 2 + |b|^2 / 2 - |Z|^2 / 2, Z an array of the layer above that moves by the gradient of its weight."""
    return lambda state, i: np.asarray(_own(state, i) - np.vdot(z := state[f"fc{i + 1}.{part}"], z) / 2)


def neurons(state: State, i: int) -> Array:
    """The terms of `fixed` that belong to each unit k: rows of W and b, columns of F and W'."""
    w, b = state[f"fc{i}.weight"], state[f"fc{i}.bias"]
    return np.asarray((w**2).sum(1) / 2 + b**2 / 2 - (_sent(state, i) * state[f"fc{i + 1}.weight"]).sum(0))


def pairs(state: State, i: int) -> Array:
    """W W^T - F^T W' - W'^T F, of which linear networks conserve each entry."""
    w, crossed = state[f"fc{i}.weight"], _sent(state, i).T @ state[f"fc{i + 1}.weight"]
    return np.asarray(w @ w.T - crossed - crossed.T)


def direct(state: State, i: int) -> Array:
    """|W|^2 / 2 + |b|^2 / 2 - <B, what the layers above multiply to>, B the matrix of the direct route."""
    above = [state[f"fc{j}.weight"] for j in range(4, i, -1)]
    product = above[0] if len(above) == 1 else np.linalg.multi_dot(above)
    return np.asarray(_own(state, i) - np.vdot(state[f"fc{i}.feedback.B"], product.T))


# -- runs -----------------------------------------------------------------------------------------------------------


def _data(session: Session, seed: int) -> tuple[Array, Array]:
    """Samples that a spec of this folder reads, and what to answer."""
    rng, (x, y) = np.random.default_rng(seed), session.compiled.feeds
    target = rng.integers(5, size=SAMPLES) if y.classes else rng.standard_normal((SAMPLES, *y.shape))
    return rng.standard_normal((SAMPLES, *x.shape)), np.asarray(target)


def drift(
    spec: str, changes: Sequence[str], law: Law, layers: Sequence[int], steps: int, lab: Lab, seed: int
) -> Measured:
    """The sum over steps of C(s') - C(s) - C(s' - s), against |W|^2 / 2 + |b|^2 / 2 at the start."""
    session = lab.open(spec, *changes, seed=seed, precision="float64")
    x, y = _data(session, seed)
    rng = np.random.default_rng(seed + 1)
    before = session.state()
    size = {i: float(_own(before, i)) for i in layers}
    total = {i: np.zeros_like(law(before, i)) for i in layers}
    balance = []
    for number in range(steps):
        rows = rng.permutation(SAMPLES)[:BATCH]
        if number % SHOWN == 0:
            shown = session.probe(x[rows], y[rows])
            balance += [value for name, value in shown.items() if name.endswith(".balance")]
        session.step(x[rows], y[rows])
        after = session.state()
        step = {name: after[name] - before[name] for name in after}
        for i in layers:
            total[i] += law(after, i) - law(before, i) - law(step, i)
        before = after
    figures = {"drift": max(float(np.abs(total[i]).max()) / size[i] for i in layers)}
    return Measured(figures | ({"balance": max(balance)} if balance else {}))


def laws(short: bool) -> Table:
    """To machine precision where they are laws, and not at all where one of their conditions is missing."""
    steps, seeds = (100, 1) if short else (500, 3)

    def net(
        *changes: str, law: Law = fixed, layers: Sequence[int] = (1, 2, 3), spec: str = "net"
    ) -> partial[Measured]:
        return partial(drift, f"{spec}.fac.yaml", changes, law, layers, steps)

    dfa = "feedback={rule: dfa}"
    held = {
        "fa": net(),
        "fa, each neuron": net(law=neurons),
        "fa, linear, each pair of neurons": net(
            "layers.fc1.init=kaiming_uniform", law=pairs, layers=(1,), spec="linear"
        ),
        "fa, convolutions and max pooling": net(layers=(1, 2), spec="maps"),
        "fixed Q P, r = 3": net("feedback={rule: ldfa, rank: 3, learn: fixed}"),
        "bp": net("feedback={rule: bp}", law=square("weight")),
        "Kolen-Pollack B": net(
            THROUGH % "kind: random, learn: {rule: kolen_pollack}", law=square("feedback.B")
        ),
        "Kolen-Pollack Q, Oja P, r = 3": net("feedback={rule: ldfa, rank: 3}", law=square("feedback.Q")),
        "dfa, last hidden layer": net(dfa, law=direct, layers=(3,)),
    }
    broken = {
        "momentum .9": net("update.momentum=0.9", "update.lr=0.005"),
        "Adam": net("update={rule: adam, lr: 0.001}"),
        "weight decay 1e-3": net("update.weight_decay=1e-3"),
        "tanh": net(*(f"layers.act{i}.kind=tanh" for i in (1, 2, 3))),
        "dfa, layers below the last hidden one": net(dfa, law=direct, layers=(1, 2)),
    }

    def all_within(found: Results, rows: Sequence[str], figure: str, low: float, high: float) -> bool:
        return all(low <= value <= high for row in rows for value in found.values(row, figure))

    return Table(
        "The laws",
        [Row(name, measured, seeds) for name, measured in (held | broken).items()],
        (Column("drift", "drift", ".0e"), Column("balance", "balance", ".0e")),
        [
            Claim(
                f"the first {len(held)} rows: drift of rounding size, at most {EXACT:g}, for every seed",
                partial(all_within, rows=tuple(held), figure="drift", low=0, high=EXACT),
            ),
            Claim(
                f"the last {len(broken)} rows: drift above {APART:g}, for every seed",
                partial(all_within, rows=tuple(broken), figure="drift", low=APART, high=inf),
            ),
            Claim(
                "the balance of gradients holds on each batch under momentum, Adam and decay as well",
                partial(
                    all_within,
                    rows=("fa", "momentum .9", "Adam", "weight decay 1e-3"),
                    figure="balance",
                    low=0,
                    high=EXACT,
                ),
            ),
        ],
        says=f"12-20-16-14-5, relu, cross entropy, {steps} steps of plain SGD by .05 on batches of {BATCH} random "
        "samples, float64, unless a row says something else. Drift: what is of first order in the change of C, added "
        "up over steps, against |W|^2 / 2 + |b|^2 / 2 at the start; the largest of all hidden layers. Balance: the "
        "probe `conservation`, the largest |<W, G> + <b, g> - <F, G'>| against the sum of its terms; – where the "
        "layers between are not homogeneous.",
    )


# -- small steps ----------------------------------------------------------------------------------------------------

RATES = (0.04, 0.02, 0.01, 0.005)
TIME = 20.0


def change(rate: float, momentum: float, lab: Lab, seed: int) -> Measured:
    """The largest |C(T) - C(0)| of the hidden layers, after full-batch steps of rate * steps / (1 - momentum) = 20."""
    lr = rate * (1 - momentum)
    session = lab.open(
        "net.fac.yaml",
        f"update={{rule: sgd, lr: {lr!r}, momentum: {momentum}}}",
        seed=seed,
        precision="float64",
    )
    x, y = (session.place(array) for array in _data(session, seed))
    before = session.state()
    for _ in range(round(TIME / rate)):
        session.step(x, y)
    after = session.state()
    return Measured({"change": max(abs(float(fixed(after, i) - fixed(before, i))) for i in (1, 2, 3))})


def small_steps(short: bool) -> Table:
    """SGD conserves up to its learning rate, and so does momentum, whose constant is much larger."""
    rates, seeds = (RATES[:2], 1) if short else (RATES, 3)
    names = {
        f"{kind}, rate {rate:g}": (rate, mu)
        for kind, mu in (("SGD", 0.0), ("momentum .9", 0.9))
        for rate in rates
    }

    def halves(found: Results, kind: str) -> bool:
        values = [found.mean(f"{kind}, rate {rate:g}", "change") for rate in rates]
        return all(1.7 < large / small < 2.3 for large, small in pairwise(values))

    return Table(
        "Drift is proportional to the learning rate",
        [Row(name, partial(change, *setting), seeds) for name, setting in names.items()],
        (Column("|C(T) - C(0)|", "change", ".2e"),),
        [
            *(
                Claim(f"{kind}: half the rate is half the drift, within 15 %", partial(halves, kind=kind))
                for kind in ("SGD", "momentum .9")
            ),
            Claim(
                "momentum drifts more than ten times as much as SGD of the same effective rate",
                lambda found: all(
                    found.mean(f"momentum .9, rate {rate:g}", "change")
                    > 10 * found.mean(f"SGD, rate {rate:g}", "change")
                    for rate in rates
                ),
            ),
        ],
        says=f"The net of the first table, all {SAMPLES} samples in each step, up to the same time: "
        f"rate * steps = {TIME:g}, with momentum rate = lr / (1 - momentum).",
    )


# -- what it says of alignment --------------------------------------------------------------------------------------


def aligned(kappa: float, steps: int, lab: Lab, seed: int) -> Measured:
    """tr(B W') over training from W' = kappa |W|^2 / (2 |B|^2) B^T, the smallest over time and layers."""
    session = lab.open("net.fac.yaml", seed=seed, precision="float64")
    x, y = (session.place(array) for array in _data(session, seed))
    state = session.state()
    for i in (1, 2, 3):
        f = _sent(state, i)
        state[f"fc{i + 1}.weight"] = kappa * float(_own(state, i) / np.vdot(f, f)) * f
    session.load_state(state)
    start = {i: float(fixed(state, i)) for i in (1, 2, 3)}
    lowest = inf
    for _ in range(steps):
        session.step(x, y)
        state = session.state()
        traces = [float(_own(state, i) - fixed(state, i)) for i in (1, 2, 3)]
        lowest = min(lowest, *traces)
    return Measured({"start": max(start.values()), "lowest": lowest, "last": min(traces)})


def corollary(short: bool) -> Table:
    """C <= 0 at the start keeps W' aligned with B."""
    steps, seeds = (200, 1) if short else (2000, 3)
    rows = {f"kappa = {kappa:g}": kappa for kappa in (2.0, 1.0, -0.5)}
    return Table(
        "Alignment that the law holds up",
        [Row(name, partial(aligned, kappa, steps), seeds) for name, kappa in rows.items()],
        (
            Column("C at the start", "start", ".2f"),
            Column("smallest tr(B W')", "lowest", ".2f"),
            Column("last tr(B W')", "last", ".2f"),
        ),
        [
            Claim(
                "kappa 1 and 2, where C <= 0 at the start: tr(B W') stays above 0 in every layer, for every seed",
                lambda found: (
                    min(found.values("kappa = 1", "lowest") + found.values("kappa = 2", "lowest")) > 0
                ),
            ),
            Claim(
                "kappa -.5, where C > 0: tr(B W') is below -1 for a time, for every seed",
                lambda found: max(found.values("kappa = -0.5", "lowest")) < -1,
            ),
        ],
        says="Layer by layer W'(0) = kappa |W|^2 / (2 |B|^2) B^T, the largest C and the smallest trace of the "
        f"three hidden layers. {steps} full-batch steps by .05; along the flow |W|^2 / 2 + |b|^2 / 2 - C(0) is the "
        "trace, of which SGD takes away half the squares of its steps.",
    )


# -- the solution of least norm -------------------------------------------------------------------------------------


def least(changes: Sequence[str], steps: int, lab: Lab, seed: int) -> Measured:
    """How far W2 W1 is from Y X^+ once the 20 samples are fitted."""
    session = lab.open("linear.fac.yaml", *changes, seed=seed, precision="float64")
    x, y = (array[:20] for array in _data(session, seed))
    placed = session.place(x), session.place(y)
    for _ in range(steps):
        session.step(*placed)
    state = session.state()
    found, wanted = state["fc2.weight"] @ state["fc1.weight"], y.T @ np.linalg.pinv(x.T)
    return Measured(
        {
            "residual": float(np.linalg.norm(x @ found.T - y) / np.linalg.norm(y)),
            "distance": float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)),
        }
    )


def min_norm(short: bool) -> Table:
    """From W1 = 0 the rows of W1 stay in the span of the samples, so an exact fit is the smallest one."""
    steps, seeds = 4000, 1 if short else 3
    return Table(
        "The solution of least norm",
        [
            Row("fa, W1 = 0 at the start", partial(least, (), steps), seeds),
            Row(
                "fa, W1 random at the start",
                partial(least, ("layers.fc1.init=kaiming_uniform",), steps),
                seeds,
            ),
        ],
        (Column("|X W^T - Y| / |Y|", "residual", ".0e"), Column("|W - Y X^+| / |Y X^+|", "distance", ".0e")),
        [
            Claim(
                "both fit the samples to 1e-8, for every seed",
                lambda found: all(max(found.values(row, "residual")) < 1e-8 for row in found.rows),
            ),
            Claim(
                "from zero W is Y X^+ to 1e-8, and from random weights it is away by more than half its length",
                lambda found: (
                    max(found.values("fa, W1 = 0 at the start", "distance")) < 1e-8
                    and min(found.values("fa, W1 random at the start", "distance")) > 0.5
                ),
            ),
        ],
        says=f"A linear net 40-24-5 without biases on 20 random samples, W = W2 W1, {steps} full-batch steps.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (laws(short), small_steps(short), corollary(short), min_norm(short))


STUDY = Study(
    "What layer-wise feedback conserves",
    "After arXiv 2306.01870; the equations are derived here, and those of learned feedback are not of the paper.",
    tables,
)
