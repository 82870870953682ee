"""What helps direct feedback alignment, and how to see where it fails (after Launay et al. 2019, arXiv 1906.04554)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from fac.studies import Column, Lab, Measured, Row, Study, Table, every, leads, trained
from fac.training.dataset import Dataset, Split

SPEC, WIDTH, CLASSES, BATCH = "net.fac.yaml", 100, 10, 32
HIDDEN = ("fc1", "fc2", "fc3")
FIRST, SECOND, THIRD = COSINES = tuple(f"{fc}.error.cosine" for fc in HIDDEN)
ACCURACY = Column("accuracy %", "test_accuracy", ".1f", 100)
ALIGNED = tuple(Column(f"cos {name[:3]}", name, ".2f") for name in COSINES)
SHALLOW = "feedback={rule: shallow}"

# -- what is between the layers -------------------------------------------------------------------------------------


def _beside(spec: str, changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """Direct feedback, and on the same net backpropagation and the last layer alone."""
    measured = lab.train(spec, *changes, seed=seed).measured
    accuracy = {
        rule: lab.train(spec, *changes, f"feedback={{rule: {rule}}}", seed=seed).measured.figures[
            "test_accuracy"
        ]
        for rule in ("bp", "shallow")
    }
    gain = measured.figures["test_accuracy"] - accuracy["shallow"]
    return Measured({**measured.figures, **accuracy, "gain": gain}, measured.curves)


def ablations(short: bool) -> Table:
    """Activations, dropout and batch normalisation."""
    kinds = ("relu",) if short else ("relu", "leaky_relu", "sigmoid")
    nets: dict[str, tuple[str, tuple[str, ...]]] = {
        "tanh": (SPEC, ()),
        **{kind: (SPEC, tuple(f"layers.act{i}.kind={kind}" for i in (1, 2, 3))) for kind in kinds},
        "tanh, dropout .2": ("net_dropout.fac.yaml", ()),
        "tanh, batch norm": ("net_norm.fac.yaml", ()),
    }
    return Table(
        "Activations, dropout and batch normalisation",
        [Row(name, partial(_beside, *net), 1 if short else 5) for name, net in nets.items()],
        (ACCURACY, Column("bp %", "bp", ".1f", 100), Column("shallow %", "shallow", ".1f", 100), *ALIGNED),
        [
            every("all are above the last layer alone by 2 points", list(nets), "gain", 0.02),
            leads("tanh", "relu", THIRD, 0.1),
            *(leads(name, "tanh", THIRD, 0.02) for name in nets if "," in name),
        ],
        says="64-100-100-100-10, 10 epochs of Adam by .003 in batches of 32; bp and shallow: backpropagation, and "
        "the last layer alone, on the same net. cos: between the error that arrives at a hidden layer and the "
        "true one, the mean over the samples of a batch, after the last epoch.",
    )


# -- the size of B --------------------------------------------------------------------------------------------------

SIZE = (WIDTH * CLASSES) ** 0.5
UNIT = "feedback={rule: dfa, init: {kind: normal, std: 1.0}}"


def _sgd(lr: float, scale: float = 1.0) -> str:
    return f"update={{rule: sgd, lr: {lr}, momentum: 0.9, groups: [{{match: 'fc*', lr_scale: {scale!r}}}]}}"


def _rescaled(lr: float, lab: Lab, seed: int) -> Measured:
    """B from N(0, 1) with smaller hidden rates, and how far its weights are from those of the normalised B."""
    one = lab.train(SPEC, UNIT, _sgd(lr, 1 / SIZE), seed=seed, precision="float64")
    here = one.session.state()
    there = lab.train(SPEC, _sgd(lr), seed=seed, precision="float64").session.state()
    apart = [
        float(np.linalg.norm(array - there[name]) / np.linalg.norm(there[name]))
        for name, array in here.items()
        if name.endswith((".weight", ".bias"))
    ]
    return Measured({**one.measured.figures, "apart": max(apart)}, one.measured.curves)


def normalisation(short: bool) -> Table:
    """The size of B is a learning rate of the layers that it feeds."""
    rates = (0.01,) if short else (0.001, 0.01, 0.1)
    normal, unit, slowed = "N(0, 1) / sqrt(n C)", "N(0, 1)", "N(0, 1), hidden rates / sqrt(n C)"
    rows: list[Row] = []
    for lr in rates:
        measures: Mapping[str, Callable[[Lab, int], Measured]] = {
            normal: trained(SPEC, _sgd(lr)),
            unit: trained(SPEC, UNIT, _sgd(lr)),
            slowed: partial(_rescaled, lr),
            "shallow": trained(SPEC, SHALLOW, _sgd(lr)),
        }
        rows += [Row(f"{name}, {lr:g}", measure, 1 if short else 5) for name, measure in measures.items()]
    equal = f"{slowed}: the same training as {normal}, to 1e-7"
    return Table(
        "The size of B",
        rows,
        (ACCURACY, Column("training loss", "train_loss", ".2g"), *ALIGNED, Column("apart", "apart", ".0e")),
        [
            every(equal, [f"{slowed}, {lr:g}" for lr in rates], "apart", 0, 1e-7),
            leads(f"{unit}, 0.01", f"{normal}, 0.01", FIRST, 0.05),
        ],
        says="The net of the first table under SGD with momentum .9 by the rate that the row ends with; n = 100 "
        "units, C = 10 classes. Apart: the largest distance of a parameter from that of the first row of the "
        "rate, in float64, against its length.",
    )


# -- one matrix for all ---------------------------------------------------------------------------------------------

WIDTHS = tuple(f"layers.{fc}.out={n}" for fc, n in zip(HIDDEN, (200, 100, 50), strict=True))


def _stored(rule: str, lab: Lab, seed: int) -> Measured:
    """A training, and how many numbers its feedback is."""
    training = lab.train(SPEC, *WIDTHS, f"feedback={{{rule}}}", seed=seed)
    numbers = sum(array.size for name, array in training.session.state().items() if ".feedback" in name)
    return Measured({**training.measured.figures, "numbers": float(numbers)}, training.measured.curves)


def shared(short: bool) -> Table:
    """Slices of one matrix serve as well as matrices of their own."""
    own, slices = "independent matrices", "slices of one matrix"
    rules = {own: "rule: dfa", slices: "rule: dfa, shared: true", "shallow": "rule: shallow"}
    return Table(
        "Shared slices",
        [Row(name, partial(_stored, rule), 1 if short else 5) for name, rule in rules.items()],
        (ACCURACY, *ALIGNED, Column("numbers of feedback", "numbers", ",.0f")),
        [
            *(
                leads(slices, own, figure, -by)
                for figure, by in (("test_accuracy", 0.02), (SECOND, 0.05), (THIRD, 0.05))
            ),
            *(leads(name, "shallow", "test_accuracy", 0.03) for name in (own, slices)),
            every(f"{own}: 3,500 numbers", [own], "numbers", 3500, 3500),
            every(f"{slices}: 2,000 numbers", [slices], "numbers", 2000, 2000),
        ],
        says="64-200-100-50-10, tanh, otherwise as in the first table. Shared: layer l has the first n_l rows of "
        "one matrix of 200 rows, rescaled to its own n_l.",
    )


# -- a bottleneck ---------------------------------------------------------------------------------------------------


def masks(short: bool) -> Table:
    """A layer of which few units learn is not aligned, and the others are."""
    keeps = (1, 10, 30, 100) if short else (1, 3, 10, 30, 60, 100)
    names = {keep: f"{keep} of 100 units" for keep in keeps}
    one, whole = names[1], names[100]
    measures = {
        name: trained(SPEC, f"update.groups=[{{match: 'fc2.*', keep: {k}}}]") for k, name in names.items()
    }
    return Table(
        "A bottleneck of masked gradients",
        [Row(name, measure, 1 if short else 5) for name, measure in measures.items()],
        (ACCURACY, *ALIGNED),
        [
            leads(whole, one, SECOND, 0.25),
            leads(whole, names[30], SECOND, 0.15),
            leads(names[30], one, SECOND, 0.03),
            *(leads(name, whole, figure, -0.1) for name in (one, names[30]) for figure in (FIRST, THIRD)),
            leads(one, whole, "test_accuracy", -0.015),
        ],
        says="The net of the first table, tanh. Of fc2's units, rows of weight and bias, so many learn, and the "
        "others stay as they were drawn.",
        curves=(SECOND, THIRD),
    )


# -- weights that agree from the start ------------------------------------------------------------------------------


def _prealigned(changes: Sequence[str], lab: Lab, seed: int) -> Measured:
    """A training, and the cosines in front of its first step: on the batch that sets weights, and on other samples."""
    measured, whole = lab.train(SPEC, *changes, seed=seed).measured, lab.data(SPEC)
    batch, other = (Split(split.x[:BATCH], split.y[:BATCH]) for split in (whole.train, whole.test))
    still = ("update.lr=1e-12", "train.epochs=1")
    start = lab.train(SPEC, *changes, *still, seed=seed, dataset=Dataset("a batch", batch, other))
    elsewhere = start.session.probe(other.x, other.y)
    figures = {"batch": min(map(start.measured.figures.__getitem__, COSINES))}
    figures["other"] = min(map(elsewhere.__getitem__, COSINES))
    return Measured({**measured.figures, **figures}, measured.curves)


def prealign(short: bool) -> Table:
    """Least squares on one batch are enough to start aligned."""
    drawn, unit, sized = "weights as drawn", "prealign: unit", "prealign: drawn"
    rows = {drawn: (), unit: ("train.prealign=unit",), sized: ("train.prealign=drawn",)}
    return Table(
        "Weights that agree from the start",
        [Row(name, partial(_prealigned, changes), 1 if short else 5) for name, changes in rows.items()],
        (Column("batch", "batch", ".2f"), Column("other samples", "other", ".2f"), ACCURACY, *ALIGNED),
        [
            every(f"{unit}: above .97 on the batch", [unit], "batch", 0.97),
            every(f"{unit}: above .9 on other samples", [unit], "other", 0.9),
            every(f"{sized}: above .7 on other samples", [sized], "other", 0.7),
            *(leads(name, drawn, THIRD, 0.15) for name in (unit, sized)),
        ],
        says="The net of the first table, tanh. Batch and other samples: the smallest of the three cosines in front "
        "of the first step, on the 32 samples of pre-alignment and on 32 for testing; the rest after 10 epochs.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return tuple(table(short) for table in (ablations, normalisation, shared, masks, prealign))


STUDY = Study(
    "What helps direct feedback alignment",
    "After Julien Launay, Iacopo Poli and Florent Krzakala, arXiv 1906.04554, of which the abstract is known here; "
    "nets and rates are ours.",
    tables,
)
