"""Layers by least squares on targets that travel back (after Ranganathan and Lewandowski, arXiv 2011.08895)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise
from math import nan
from time import process_time

import numpy as np
from numpy.typing import NDArray

from fac.backend import Session
from fac.solve.zorb import EQUATIONS
from fac.studies import Claim, Column, Lab, Measured, Row, Study, Table, every, leads
from fac.training.dataset import Dataset, Split, order
from fac.training.solving import Solving

Array = NDArray[np.float64]
Measures = dict[str, Callable[[Lab, int], Measured]]


def _solving(session: Session, split: Split) -> Solving:
    assert session.compiled.solution is not None
    return Solving(session, split, session.compiled.solution)


# -- what a solve is ------------------------------------------------------------------------------------------------

ONE = "one layer"
ACTS: Mapping[str, Callable[[Array], Array]] = {"sigmoid": lambda a: 1 / (1 + np.exp(-a)), "tanh": np.tanh}


def _with_ones(features: Array) -> Array:
    return np.asarray(np.c_[features, np.ones(len(features))])


def _nearest(features: Array, targets: Array) -> Array:
    return np.asarray(np.linalg.lstsq(_with_ones(features), targets)[0])


def _apart(found: Array, wanted: Array) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def exact(act: str, lab: Lab, seed: int) -> Measured:
    """Each solve against NumPy's least squares; and what fc2 would miss, were fc1 to make its targets."""
    change = f"layers.act1.kind={act}" if act in ACTS else "layers=[{kind: linear, name: fc1, out: 5}]"
    session = lab.open("chain.fac.yaml", change, seed=seed)
    rng = np.random.default_rng(seed)
    h, y = rng.standard_normal((200, 12)), rng.standard_normal((200, 5))
    solving, squares, missed = _solving(session, Split(h, y)), [], nan
    for fc, _ in zip(solving.solution.layers, solving.solution.run(solving, 0), strict=True):
        targets = np.concatenate(list(solving.rows(f"{fc}.{EQUATIONS}")))[:, h.shape[1] :]
        state = session.state()
        theta = np.c_[state[f"{fc}.weight"], state[f"{fc}.bias"]].T
        squares.append(_apart(theta, _nearest(h, targets)))
        h = _with_ones(h) @ theta
        if act in ACTS and fc == "fc1":
            h, made = ACTS[act](h), ACTS[act](targets)
            missed = _apart(_with_ones(made) @ _nearest(made, y), y)
    return Measured({"squares": max(squares), "missed": missed})


def equations(short: bool) -> Table:
    """Solves are least squares, and inverses are inverses."""
    return Table(
        "What is solved",
        [Row(name, partial(exact, name), 3 if short else 10) for name in (ONE, *ACTS)],
        (Column("from least squares", "squares", ".0e"), Column("round trip", "missed", ".0e")),
        [
            every("one layer is least squares with a column of ones, to 1e-12", [ONE], "squares", 0, 1e-12),
            every("so is each of two layers, to 1e-9", [*ACTS], "squares", 0, 1e-9),
            every("targets that have gone back come back, to 1e-12", [*ACTS], "missed", 0, 1e-12),
        ],
        says="12-5, or 12-10-5 with an activation between, on 200 random samples with random targets. From least "
        "squares: the largest difference from what NumPy finds for the features and targets of a layer, "
        "against the largest number of that. Round trip: by how much fc2 would miss the targets of the data if "
        "fc1 made its own exactly, likewise.",
    )


# -- accuracy and time ----------------------------------------------------------------------------------------------


def _accuracies(session: Session, data: Dataset) -> dict[str, float]:
    splits = {"train": data.train, "test": data.test}
    return {name: session.evaluate(split.arrays)["accuracy"] for name, split in splits.items()}


def solved(spec: str, changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """The solves, of which alone the time counts."""
    session, data = lab.open(spec, *changes, seed=seed), lab.data(spec, *changes)
    solving = _solving(session, data.train)
    began = process_time()
    found = list(solving.solution.run(solving, 0))
    seconds = process_time() - began
    return Measured({**_accuracies(session, data), "seconds": seconds, "rank": float(found[-1].rank)})


@cache
def _goal(spec: str, net: Sequence[str], lab: Lab, seed: int) -> float:
    return solved(spec, net, lab, seed).figures["train"]


def stepped(spec: str, net: Sequence[str], lr: float, batch: int, lab: Lab, seed: int) -> Measured:
    """Steps of Adam until an epoch ends with the training accuracy of the solves; their time alone counts."""
    changes = (*net, "solve=null", f"update={{rule: adam, lr: {lr}}}", f"train.batch={batch}")
    session, data = lab.open(spec, *changes, seed=seed), lab.data(spec, *changes)
    placed = {name: session.place(array) for name, array in data.train.arrays.items()}
    n, seconds = len(data.train), 0.0
    for epoch in range(1, LIMIT + 1):
        rows = order(seed, epoch - 1, n)
        began = process_time()
        for at in range(0, n - batch + 1, batch):
            session.step({name: session.take(array, rows[at : at + batch]) for name, array in placed.items()})
        seconds += process_time() - began
        found = {**_accuracies(session, data), "seconds": seconds}
        if found["train"] >= _goal(spec, net, lab, seed):
            return Measured({**found, "epochs": float(epoch)})
    return Measured(found)


LIMIT, EPOCHS = 60, 10
SOLVES, FROZEN = "zorb", "zorb, fc1 as drawn"
COLUMNS = (
    Column("training %", "train", ".1f", 100),
    Column("test %", "test", ".1f", 100),
    Column("CPU seconds", "seconds", ".2f"),
    Column("epochs", "epochs", ".0f"),
)


def beside(
    data: str, spec: str, net: str, rates: Sequence[float], batch: int, seeds: int, least: float
) -> Table:
    """Solves, which should be right on at least that share of the test samples, and steps on one net."""
    steps = [f"Adam {lr:g}" for lr in rates]
    measures: Measures = {
        SOLVES: partial(solved, spec, ()),
        FROZEN: partial(solved, spec, ("layers.fc1.trainable=false",)),
    }
    measures |= {name: partial(stepped, spec, (), lr, batch) for name, lr in zip(steps, rates, strict=True)}
    return Table(
        f"{data}: accuracy and time beside Adam",
        [Row(name, measure, seeds) for name, measure in measures.items()],
        COLUMNS,
        [
            every(f"zorb: above {100 * least:g} % on test samples", [SOLVES], "test", least),
            leads(SOLVES, FROZEN, "test", 0.003),
            Claim(
                f"Adam, at one of its rates, gets there within {EPOCHS} epochs, no less accurate on test samples",
                lambda found: any(
                    max(found.values(name, "epochs")) <= EPOCHS
                    and found.mean(name, "test") >= found.mean(SOLVES, "test")
                    for name in steps
                ),
            ),
        ],
        says=f"{net}. zorb in float64; fc1 as drawn: the last layer alone is solved. Adam in float32 in batches of "
        f"{batch}, at each of its rates up to the first epoch that ends with zorb's training accuracy of the "
        f"same seed or more, {LIMIT} epochs at most. Time: of the process, in the solves or steps alone; "
        "evaluations, and what is compiled, are outside of it.",
    )


def cut_off(short: bool) -> Table:
    """What `rcond` does."""
    names = {rcond: f"rcond {rcond:g}" for rcond in (1e-9, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)}
    measures = {
        name: partial(solved, "digits.fac.yaml", (f"solve.rcond={rcond!r}",)) for rcond, name in names.items()
    }
    return Table(
        "Digits: what is cut off",
        [Row(name, measure, 3 if short else 10) for name, measure in measures.items()],
        (*COLUMNS[:2], Column("rank", "rank", ".0f")),
        [
            *(leads(names[less], names[more], "train", 0.002) for less, more in pairwise(names)),
            leads(names[1e-9], names[1e-3], "test", 0.005),
            leads(names[1e-5], names[1e-3], "test", 0.005),
        ],
        says="The net of the table before. Rank: how many singular values of the 257 features of the last solve are "
        "kept.",
    )


# -- depth ----------------------------------------------------------------------------------------------------------


def deep(short: bool) -> Table:
    """Further down targets say less of what would help."""
    spec, depths = "deep.fac.yaml", (1, 8) if short else (1, 2, 4, 8, 11)
    measures: Measures = {}
    for depth in depths:
        times = f"layers.hidden.times={depth}"
        measures[f"zorb, {depth} hidden"] = partial(solved, spec, (times,))
        measures[f"hidden as drawn, {depth}"] = partial(
            solved, spec, (times, "layers.hidden.trainable=false")
        )
        measures[f"Adam, {depth} hidden"] = partial(stepped, spec, (times,), 0.003, 32)
    last = depths[-1]
    return Table(
        "Digits: depth",
        [Row(name, measure, 2 if short else 5) for name, measure in measures.items()],
        COLUMNS,
        [
            leads("zorb, 1 hidden", "hidden as drawn, 1", "test", 0.01),
            leads("zorb, 1 hidden", "zorb, 8 hidden", "test", 0.02),
            leads(f"Adam, {last} hidden", f"zorb, {last} hidden", "test", 0.02 if short else 0.1),
        ],
        says="64 units in each hidden layer, tanh. Hidden as drawn: the last layer alone is solved. Adam: by .003 "
        "in batches of 32, up to zorb's training accuracy at the same depth, as above.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    rates = (0.003, 0.01) if short else (0.001, 0.003, 0.01, 0.03)
    digits = beside("Digits", "digits.fac.yaml", "64-256-10, sigmoid", rates, 32, 3, 0.95)
    rates = (0.0003, 0.001, 0.003, 0.01)
    fashion = beside("Fashion-MNIST", "fashion.fac.yaml", "784-256-10, sigmoid", rates, 128, 1, 0.81)
    return (equations(short), digits, *(() if short else (fashion,)), cut_off(short), deep(short))


STUDY = Study(
    "Layers by least squares",
    "After Varun Ranganathan and Alex Lewandowski, arXiv 2011.08895; the nets are ours.",
    tables,
)
