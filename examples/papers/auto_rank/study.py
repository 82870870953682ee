"""Ranks that are measured layer by layer, `rank: auto`, beside equal ranks of equal cost. A study of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, leads, trained

LAYERS = ("fc2", "fc3", "logits")
ENDS: Mapping[str, Sequence[tuple[int, int]]] = {
    "digits.fac.yaml": ((64, 256), (128, 64), (10, 128)),
    "fashion.fac.yaml": ((512, 512), (512, 512), (10, 512)),
}
"""What the pairs of these layers read and write."""
ADAM: Mapping[str, Sequence[str]] = {
    "digits.fac.yaml": ("update={rule: adam, lr: 0.01, schedule: {kind: cosine, per: epoch}}",),
    "fashion.fac.yaml": ("update={rule: adam, lr: 0.001, schedule: cosine}",),
}
"""For `normative`, whose P and Q take ten times that rate."""
CLASSES = 10
QUICK = "update.feedback={lr_scale: 10}"
COLUMNS = (
    Column("accuracy %", "test_accuracy", ".1f", 100),
    *(Column(f"rank of {name}", name, ".1f") for name in LAYERS),
    Column("cost", "cost", ".3f"),
)


def cost_of(spec: str, ranks: Sequence[int]) -> float:
    """Multiply-adds of pairs of these ranks, as a share of those of the products with the weights in their places."""
    pairs = sum(rank * (m + k) for rank, (m, k) in zip(ranks, ENDS[spec], strict=True))
    return pairs / sum(m * k for m, k in ENDS[spec])


def equal(spec: str, rank: int) -> list[int]:
    """The same rank at each layer, clipped to what it allows."""
    return [min(rank, m, k) for m, k in ENDS[spec]]


def _run(spec: str, learn: str, rank: str, changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """A training, and the ranks that it had."""
    more = (*changes, *ADAM[spec], QUICK) if learn == "normative" else changes
    training = lab.train(spec, f"feedback={{rule: ldfa, rank: {rank}, learn: {learn}}}", *more, seed=seed)
    state = training.session.state()
    ranks = [len(state[f"{name}.feedback.P"]) for name in LAYERS]
    about = {name: float(rank) for name, rank in zip(LAYERS, ranks, strict=True)}
    about["cost"] = cost_of(spec, ranks)
    measured = training.measured
    return Measured({**measured.figures, **about}, measured.curves, measured.diverged)


def _levels(spec: str, learn: str, rules: Sequence[str], changes: Sequence[str], seeds: int) -> list[Row]:
    more = (*changes, *ADAM[spec]) if learn == "normative" else changes
    return [Row(rule, trained(spec, f"feedback={{rule: {rule}}}", *more), seeds) for rule in rules]


def _keeps_to(spec: str, ranks: Sequence[int]) -> Claim:
    return Claim(
        "auto costs no more than the equal rank beside it, for every seed",
        lambda found: all(
            cost <= cost_of(spec, equal(spec, r)) + 1e-9
            for r in ranks
            for cost in found.values(f"auto, cost of r = {r}", "cost")
        ),
    )


def _near(ranks: Sequence[int]) -> Claim:
    """Of ranks that hold all directions of the error of the classes."""

    def near(found: Results) -> bool:
        pairs = [(f"equal, r = {r}", f"auto, cost of r = {r}") for r in ranks if r >= CLASSES - 1]
        means = [[found.mean(row, "test_accuracy") for row in pair] for pair in pairs]
        return all(abs(one - other) <= 0.02 for one, other in means)

    return Claim("from r = 9 on auto and the equal rank beside it are within 2 points", near)


def _ruined(shares: Sequence[float]) -> Claim:
    """A run that diverged has no accuracy."""
    rows = [f"gradient alone, share {share}" for share in shares]
    told = " and ".join(map(str, shares))
    return Claim(
        f"by the gradient alone, shares of {told}: below 50 %, or it diverges, for every seed",
        lambda found: not any(value > 0.5 for row in rows for value in found.values(row, "test_accuracy")),
    )


def equal_cost(
    spec: str, data: str, learn: str, ranks: Sequence[int], seeds: int, says: str, changes: Sequence[str] = ()
) -> Table:
    """`share: 1` deals out the cost of an equal rank: one more where least of the mean gradient is held."""
    rows = _levels(spec, learn, ("bp", "shallow"), changes, seeds)
    for r in ranks:
        auto = f"{{share: 1, cost: {cost_of(spec, equal(spec, r)) + 1e-9}}}"
        rows += [
            Row(f"equal, r = {r}", partial(_run, spec, learn, str(r), changes), seeds, at=("equal", r)),
            Row(f"auto, cost of r = {r}", partial(_run, spec, learn, auto, changes), seeds, at=("auto", r)),
        ]
    title = f"{data}, {learn}: equal ranks, and their cost dealt out"
    claims = [_keeps_to(spec, ranks), _near(ranks)]
    return Table(title, rows, COLUMNS, claims, says, curves=("test_accuracy",), over="rank")


def by_share(
    spec: str,
    data: str,
    learn: str,
    shares: Sequence[float],
    seeds: int,
    says: str,
    changes: Sequence[str] = (),
) -> Table:
    """The smallest ranks that hold a share of the mean gradient, whatever they cost: with a least rank, and without."""
    rows = _levels(spec, learn, ("bp",), changes, seeds)
    for share in shares:
        for name, more in (("auto", ""), ("gradient alone", ", at_least: 1")):
            rank = f"{{share: {share}, cost: 1000{more}}}"
            row = partial(_run, spec, learn, rank, changes)
            rows.append(Row(f"{name}, share {share}", row, seeds, at=(name, share)))
    title = f"{data}, {learn}: accuracy by the share that ranks hold"
    claims = [leads("auto, share 0.9", "bp", "test_accuracy", -0.03)]
    if learn == "oja_kp":
        claims.append(_ruined([share for share in shares if share <= 0.8]))
    return Table(title, rows, COLUMNS, claims, says, curves=("test_accuracy",), over="share")


DIGITS = (
    "64-256-64-128-10, relu, 20 epochs in batches of 32, a cosine by epoch. `oja_kp`: SGD .03 with momentum .9; "
    "`normative`: Adam .01, and ten times that for P and Q. Ranks by the mean gradient of 100 steps, means over seeds. "
    "Cost: multiply-adds of the pairs, as a share of those of the products with the weights. Accuracy on the 397 "
    "samples for testing after the last epoch."
)
FASHION = (
    "784-512-512-512-10, relu, 5 epochs in batches of 128, a cosine to zero. `oja_kp`: SGD .05 with momentum .9; "
    "`normative`: Adam .001, and ten times that for P and Q. The rest as on the digits; 10,000 samples for testing."
)


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    spec, data = "digits.fac.yaml", "Digits"
    if short:
        few = ("train.epochs=8",)
        return (
            equal_cost(spec, data, "normative", (9,), 1, DIGITS, few),
            by_share(spec, data, "oja_kp", (0.8, 0.9), 1, DIGITS, few),
        )
    found = [
        table
        for learn in ("oja_kp", "normative")
        for table in (
            equal_cost(spec, data, learn, (4, 9, 16), 3, DIGITS),
            by_share(spec, data, learn, (0.5, 0.8, 0.9), 3, DIGITS),
        )
    ]
    spec, data = "fashion.fac.yaml", "Fashion-MNIST"
    return (*found, equal_cost(spec, data, "normative", (5, 20), 1, FASHION))


STUDY = Study(
    "Whether ranks that are measured layer by layer are worth more than equal ones",
    "A study of our own, on `rank: auto`.",
    tables,
)
