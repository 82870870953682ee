"""Rank of errors and gradients under feedback alignment, batch normalisation and Muon (after arXiv 2606.11123)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean

from fac.studies import Column, Lab, Measured, Row, Study, Table, between, leads

EARLY = 5
"""Epochs at the start over which ranks are averaged: later, errors of samples that are fitted say little."""
BP, SHALLOW = "feedback={rule: bp}", "feedback={rule: shallow}"
MUON = "update={rule: muon, lr: 0.01, schedule: cosine, rest: {rule: sgd, lr: 0.01, momentum: 0.9}}"
ROWS: Mapping[str, tuple[str, Sequence[str]]] = {
    "shallow": ("mlp.fac.yaml", (SHALLOW,)),
    "fa, .002": ("mlp.fac.yaml", ("update.lr=0.002",)),
    "fa, .005": ("mlp.fac.yaml", ("update.lr=0.005",)),
    "fa + batch norm": ("mlp_norm.fac.yaml", ()),
    "fa + Muon": ("mlp.fac.yaml", (MUON,)),
    "fa + both": ("mlp_norm.fac.yaml", (MUON,)),
    "bp": ("mlp.fac.yaml", (BP,)),
    "bp + batch norm": ("mlp_norm.fac.yaml", (BP,)),
}


COLUMNS = (
    Column("accuracy %", "test_accuracy", ".1f", 100),
    Column("training loss", "train_loss", ".2g"),
    Column("rank of errors", "error", ".1f"),
    Column("of gradients", "gradient", ".1f"),
    Column("of their trajectory", "trajectory", ".1f"),
)
RANKS = "Ranks: (sum s^2)^2 / sum s^4 of singular values s, mean over hidden layers; of errors and gradients over the "


def _ranks(spec: str, changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """A training, and effective ranks (participation): the mean over hidden layers."""
    measured = lab.train(spec, *changes, seed=seed).measured
    curves, figures = measured.curves, dict(measured.figures)
    ends = {of: f".{of}.rank.participation" for of in ("error", "gradient", "trajectory")}
    hidden = [name.removesuffix(ends["error"]) for name in curves if name.endswith(ends["error"])]
    hidden = [name for name in hidden if name != "logits"]
    if figures and hidden:
        for of in ("error", "gradient"):
            figures[of] = mean(mean(curves[f"{name}{ends[of]}"][:EARLY]) for name in hidden)
        figures["trajectory"] = mean(curves[f"{name}{ends['trajectory']}"][-1] for name in hidden)
    return Measured(figures, curves, measured.diverged)


def deep(short: bool) -> Table:
    """Both mechanisms help feedback alignment."""
    return Table(
        "A deep net on the digits",
        [Row(name, partial(_ranks, *setting), 1 if short else 3) for name, setting in ROWS.items()],
        COLUMNS,
        [
            leads("fa, .002", "shallow", "test_accuracy", 0.05),
            *(
                leads(name, fa, "test_accuracy", 0.01)
                for name in ("fa + Muon", "fa + both", "bp")
                for fa in ("fa, .002", "fa, .005")
            ),
            leads("fa + batch norm", "fa, .002", "test_accuracy", 0.04),
            leads("fa + batch norm", "fa, .002", "gradient", 1.5),
            leads("fa + Muon", "fa, .002", "trajectory", 1.5),
        ],
        says="64-64x6-10, relu, 20 epochs in batches of 32, a cosine to zero. SGD .01 with momentum .9, but fa "
        "alone .002 and .005, where its training loss explodes while its accuracy does not; Muon .01. "
        f"{RANKS}first 5 epochs, of the trajectory of the 20 gradients at the ends of epochs.",
        curves=("test_accuracy",),
    )


RES_MUON = "update={{rule: muon, lr: {}, schedule: cosine, rest: {{rule: sgd, lr: 0.01, momentum: 0.9}}}}"
RES_ROWS: Mapping[str, tuple[str, Sequence[str]]] = {
    "shallow": ("res.fac.yaml", (SHALLOW, "update.lr=0.05")),
    "fa": ("res.fac.yaml", ("update.lr=0.0003",)),
    "fa + batch norm": ("res_norm.fac.yaml", ("update.lr=0.03",)),
    "fa + Muon": ("res.fac.yaml", (RES_MUON.format(0.003),)),
    "fa + both": ("res_norm.fac.yaml", (RES_MUON.format(0.03),)),
    "bp": ("res.fac.yaml", (BP,)),
    "bp + batch norm": ("res_norm.fac.yaml", (BP, "update.lr=0.03")),
}


def residual() -> Table:
    """The same of a convolutional residual net."""
    window = "probes=[{kind: effective_rank, of: [error, gradient, trajectory], window: 20}]"
    return Table(
        "A convolutional residual net on the digits",
        [
            Row(name, partial(_ranks, spec, (*changes, "train.epochs=20", window)), 3)
            for name, (spec, changes) in RES_ROWS.items()
        ],
        COLUMNS,
        [
            *(
                leads(name, "fa", "test_accuracy", 0.3)
                for name in ("shallow", "fa + batch norm", "fa + Muon", "fa + both", "bp")
            ),
            *(leads("fa + both", name, "test_accuracy", 0.02) for name in ("fa + batch norm", "fa + Muon")),
            leads("bp", "fa + both", "test_accuracy"),
            leads("fa + batch norm", "fa", "gradient", 2),
            leads("fa + Muon", "fa", "trajectory", 0.3),
        ],
        says=f"Five residual blocks of 8, 16 and 32 channels, 13 convolutions, on maps of 8x8; relu, 20 epochs "
        "in batches of 32, a cosine to zero, SGD with momentum .9. Rates have the best accuracy by seed 0 after 20 "
        "epochs of those with a training loss below 3: fa .0003 (of .0001, .0003, .001, .003), fa + batch norm .03 "
        "(.001, .003, .01, .03), fa + Muon .003 and fa + both .03 (.003, .01, .03), bp .01 (.001, .003, .01), bp + "
        f"batch norm .03 (.003, .01, .03), shallow .05 (.01, .05). {RANKS}first 5 epochs, of the trajectory of the "
        "20 gradients at the ends of epochs.",
        curves=("test_accuracy",),
    )


FAST = "update.lr=0.05"
FEEDBACK = {
    "bp": BP,
    "fa": "feedback={rule: fa}",
    "dfa": "feedback={rule: dfa}",
    "fixed, r = 10": "feedback={rule: ldfa, rank: 10, learn: fixed}",
}
ORTHOGONAL = {
    "gram": "update={rule: gram_orthogonal, lr: 0.004, momentum: 0.9, schedule: cosine, "
    "rest: {rule: sgd, lr: 0.005, momentum: 0.9}}",
    "Muon": "update={rule: muon, lr: 0.02, schedule: cosine, rest: {rule: sgd, lr: 0.005, momentum: 0.9}}",
}
SIGNS = {"usf": 0.05, "frsf": 0.02, "brsf": 0.02}
"""Rates of sign-symmetric feedback, the best for seed 0 of .01, .02, .05 and .1; drawn sizes take slower ones."""


def _orthogonal(changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """A training, and the effective rank (participation) of hidden gradients after its last epoch."""
    measured = lab.train("fashion.fac.yaml", *changes, seed=seed).measured
    figures = dict(measured.figures)
    ranks = [figures.get(f"fc{i}.gradient.rank.participation") for i in (1, 2, 3)]
    known = [rank for rank in ranks if rank is not None]
    return Measured(
        figures | ({"gradient": mean(known)} if known else {}), measured.curves, measured.diverged
    )


def fashion() -> Table:
    """Fixed feedback under updates whose singular values are about one, on Fashion-MNIST."""
    settings = {
        "shallow": (SHALLOW, FAST),
        **{name: (feedback, *([FAST] if name == "bp" else [])) for name, feedback in FEEDBACK.items()},
        **{sign: (f"feedback={{rule: {sign}}}", f"update.lr={lr}") for sign, lr in SIGNS.items()},
        **{
            f"{name}, {update}": (feedback, change)
            for update, change in ORTHOGONAL.items()
            for name, feedback in FEEDBACK.items()
        },
    }
    fixed = [name for name in FEEDBACK if name != "bp"]
    return Table(
        "Fashion-MNIST: fixed feedback and orthogonal updates",
        [Row(name, partial(_orthogonal, changes), 3) for name, changes in settings.items()],
        (
            Column("accuracy %", "test_accuracy", ".2f", 100),
            Column("training loss", "train_loss", ".3f"),
            Column("rank of gradients", "gradient", ".1f"),
        ),
        [
            between("bp", "test_accuracy", 88.6, 89.6, scale=100),
            between("shallow", "test_accuracy", 82.9, 84.1, scale=100),
            *(leads(sign, "bp", "test_accuracy", -0.01) for sign in ("usf", "frsf")),
            leads("bp", "brsf", "test_accuracy", 0.01),
            leads("brsf", "fa", "test_accuracy", 0.01),
            *(leads(f"{name}, Muon", "bp", "test_accuracy", -0.01) for name in ("fa", "dfa")),
            *(leads(f"{name}, gram", name, "test_accuracy", 0.01) for name in fixed),
            *(leads(f"{name}, Muon", f"{name}, gram", "test_accuracy") for name in fixed),
            leads("bp, Muon", "bp", "test_accuracy", 0.003),
            leads("bp, Muon", "dfa, Muon", "test_accuracy", 0.003),
            leads("bp", "fa", "gradient"),
        ],
        says="784-512-512-512-10, relu, 5 epochs in batches of 128, a cosine to zero, SGD with momentum .9: bp, "
        "shallow and usf .05, frsf and brsf .02 (the best of .01, .02, .05 and .1), fixed feedback .005. Hidden "
        "weights by gram_orthogonal .004 or Muon .02, the rest as before. Accuracy on the 10,000 samples for testing "
        "after the last epoch; ranks of gradients of that time.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (deep(short), *(() if short else (residual(), fashion())))


STUDY = Study(
    "Rank under feedback alignment",
    "After arXiv 2606.11123, of which the abstract is known here; nets, rates and the definition of rank are ours.",
    tables,
)
