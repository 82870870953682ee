"""What inverse reinforcement learning finds: gains at once, costs only where there is one (after arXiv 2210.16299)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac import pipeline, source
from fac.plugin import load
from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, every
from fac.training.solving import Solving

HERE = Path(__file__).parent
SPEC = "inverse_rl.fac.yaml"
UNIQUE = "[[1, 0.4, 1.6], [3.7, 1.6, -3.1], [-3.2, 0.4, 4.6]]"
ONE = (f"layers.rows.a={UNIQUE}", f"data.a={UNIQUE}")
"""A_11 = 1: then the plant does not fall apart into three."""
GAIN, Q, R = (Column(f"|{name}^ - {name}|", name, ".1e") for name in "KQR")
Array = NDArray[np.float64]


def learned(changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """The distances at the end, and what the stack tells; seeds draw the excitation, too."""
    changes = (*changes, f"data.seed={seed}")
    session, data = lab.open(SPEC, *changes, seed=seed), lab.data(SPEC, *changes, precision="float64")
    assert session.compiled.solution is not None
    solving = Solving(session, data.train, session.compiled.solution)
    (solved,) = solving.solution.run(solving, 0)
    w = session.state()["cost.weight"].reshape(-1)
    k, q, r = load(HERE / "inverse_rl.py").distances(plant(changes), w)
    loss = session.evaluate(data.test.arrays)["loss"]
    return Measured({"K": k, "Q": q, "R": r, "rank": float(solved.rank), "test": loss})


def plant(changes: Sequence[str]) -> Any:
    """The `data:` section of the spec, with these changes."""
    document = source.override(source.read(str(HERE / SPEC)), tuple(changes))
    return pipeline.lowered(document).spec.data


def pieces(changes: Sequence[str], seed: int) -> tuple[Any, Array, Array, Array]:
    """The plant, the true W, and what `cost_rows` makes of exact states, with what it should come to."""
    at = plant((*changes, f"data.seed={seed}"))
    has, (_, s) = at.arrays, at.expert
    i, j = np.triu_indices(len(s))
    true = np.concatenate([s[i, j], has["q"][i, j], has["r"][1:]])
    test = load(HERE / "regulator.py").load(at, HERE, "float64").test
    left, right, linear = load(HERE / "inverse_rl.py").factors(has["a"], has["b"])
    bellman = sum((test.x @ one) * (test.x @ other) for one, other in zip(left, right, strict=True))
    rest = (test.x @ linear).reshape(len(test.x), -1, len(true))
    return at, true, np.concatenate([bellman[:, None], rest], 1), test.y[..., 0]


def exact(changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """The rows hold for the true cost; and the smallest W that solves all of them at once."""
    at, true, rows, wanted = pieces(changes, seed)
    flat = rows.reshape(-1, rows.shape[2])
    found, _, rank, _ = np.linalg.lstsq(flat, wanted.reshape(-1), 1e-9)
    k, q, r = load(HERE / "inverse_rl.py").distances(at, found)
    held = float(np.abs(rows @ true - wanted).max())
    return Measured({"held": held, "rank": float(rank), "K": k, "Q": q, "R": r})


def identities(short: bool) -> Table:
    """What the rows are."""
    names = {"several costs": (), "one cost": ONE}
    return Table(
        "Exact states",
        [Row(name, partial(exact, changes), 2 if short else 5) for name, changes in names.items()],
        (Column("rows", "held", ".0e"), Column("rank of 14", "rank", ".0f"), GAIN, Q, R),
        [
            every("the expert's own cost satisfies every row to 1e-9", list(names), "held", 0, 1e-9),
            every(
                "12 of 14 unknowns are told apart where the plant falls apart",
                ["several costs"],
                "rank",
                12,
                12,
            ),
            every("all are where it does not", ["one cost"], "rank", 14, 14),
            every("least squares find the gain to 1e-9", list(names), "K", 0, 1e-9),
            every("by another cost", ["several costs"], "Q", 1),
            every("or by the expert's", ["one cost"], "Q", 0, 1e-8),
        ],
        says="The test trajectory, where the observer knows the states: how far the true W is from satisfying its "
        "rows, and the distances of what least squares make of all of them at once.",
    )


def over_time(title: str, changes: Sequence[str], unique: bool, short: bool) -> Table:
    """From the first seconds on, in which the observer is wrong."""
    times = (5, 80, 300) if short else (5, 20, 80, 300)
    names = {time: f"{time} s" for time in times}
    claims: list[Claim] = [
        every("at 300 s the gain is the expert's to 1e-5", [names[300]], "K", 0, 1e-5),
        every("and so is what is predicted of a new trajectory", [names[300]], "test", 0, 1e-9),
        Claim("the gain comes nearer all the time", partial(falls, [names[time] for time in times])),
    ]
    if unique:
        claims.append(every("both costs are the expert's to 1e-5", [names[300]], "Q", 0, 1e-5))
        claims.append(every("R too", [names[300]], "R", 0, 1e-5))
    else:
        claims.append(every("the cost stays another, |Q^ - Q| above 1", [names[300]], "Q", 1, inf))
    return Table(
        title,
        [
            Row(names[time], partial(learned, (*changes, f"data.duration={time}")), 1 if short else 5)
            for time in times
        ],
        (GAIN, Q, R, Column("rank of 14", "rank", ".0f"), Column("test loss", "test", ".0e")),
        claims,
        says="The history stack after so many seconds, from W ~ N(0, 1); each seed has an excitation of its own. Test "
        "loss: of the rows of another trajectory, whose states are known.",
    )


def falls(names: Sequence[str], found: Results) -> bool:
    """The means of |K^ - K| do."""
    means = [found.mean(name, "K") for name in names]
    return all(later < earlier for earlier, later in pairwise(means))


def settings(short: bool) -> Table:
    """What the ridge and the excitation do."""
    measures = {f"epsilon {eps:g}": (f"solve.epsilon={eps!r}",) for eps in (1e-1, 1e-3, 1e-6)}
    measures["no excitation"] = ("data.excitation=0",)
    return Table(
        "Several costs: settings, 200 s",
        [
            Row(name, partial(learned, ("data.duration=200", *changes)), 1 if short else 5)
            for name, changes in measures.items()
        ],
        (GAIN, Q, R, Column("rank of 14", "rank", ".0f")),
        [
            every(
                "without an excitation states fade, and the gain is not found", ["no excitation"], "K", 1e-3
            ),
            Claim(
                "a ridge of 1e-1 is slower by a factor of 100 and more",
                lambda found: found.mean("epsilon 0.1", "K") > 100 * found.mean("epsilon 0.001", "K"),
            ),
        ],
        says="As above, at 200 s.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them, whose specs have kinds of these files."""
    for name in ("regulator.py", "inverse_rl.py"):
        load(HERE / name)
    return (
        identities(short),
        over_time("Several costs: over time", (), False, short),
        over_time("One cost: over time", ONE, True, short),
        settings(short),
    )


STUDY = Study(
    "Which cost does an expert minimise?",
    "After Jared Town, Zachary Morrison and Rushikesh Kamalapurkar, arXiv 2210.16299.",
    tables,
)
