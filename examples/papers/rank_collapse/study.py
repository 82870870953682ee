"""Rank of errors and gradients under feedback alignment, batch normalisation and Muon (after arXiv 2606.11123)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean

from fac.studies import Column, Lab, Measured, Row, Study, Table, leads

HIDDEN = tuple(f"fc{i}" for i in range(1, 7))
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


def _ranks(spec: str, changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """A training, and effective ranks (participation): the mean over hidden layers."""
    measured = lab.train(spec, *changes, seed=seed).measured
    curves, figures = measured.curves, dict(measured.figures)
    if figures and f"{HIDDEN[0]}.error.rank.participation" in curves:
        for of in ("error", "gradient"):
            figures[of] = mean(mean(curves[f"{fc}.{of}.rank.participation"][:EARLY]) for fc in HIDDEN)
        figures["trajectory"] = mean(curves[f"{fc}.trajectory.rank.participation"][-1] for fc in HIDDEN)
    return Measured(figures, curves, measured.diverged)


def deep(short: bool) -> Table:
    """Both mechanisms help feedback alignment."""
    return Table(
        "A deep net on the digits",
        [Row(name, partial(_ranks, *setting), 1 if short else 3) for name, setting in ROWS.items()],
        (
            Column("accuracy %", "test_accuracy", ".1f", 100),
            Column("training loss", "train_loss", ".2g"),
            Column("rank of errors", "error", ".1f"),
            Column("of gradients", "gradient", ".1f"),
            Column("of their trajectory", "trajectory", ".1f"),
        ),
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
        "Ranks: (sum s^2)^2 / sum s^4 of singular values s, mean over hidden layers; of errors and "
        "gradients over the first 5 epochs, of the trajectory of the 20 gradients at the ends of epochs.",
        curves=("test_accuracy",),
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (deep(short),)


STUDY = Study(
    "Rank under feedback alignment",
    "After arXiv 2606.11123, of which the abstract is known here; nets, rates and the definition of rank are ours.",
    tables,
)
