"""Direct feedback from one class alone to each unit (after Crafton et al. 2019, arXiv 1903.02083)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fac import source
from fac.build.costs import cost
from fac.pipeline import lowered
from fac.step.ir import Phase
from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, between, leads, trained

SPEC = "digits.fac.yaml"
WIDTHS, CLASSES, BATCH = (100, 100), 10, 32
ZERO = tuple(f"layers.{name}.init=zeros" for name in ("fc1", "fc2", "logits"))
DENSE = "feedback={rule: dfa, init: crafton}"


def _sparse(s: int) -> str:
    return f"feedback={{rule: dfa, init: crafton, mask: {{per_unit: {s}}}}}"


RULES = {"bp": "feedback={rule: bp}", "shallow": "feedback={rule: shallow}", "dfa": DENSE}
RULES |= {f"s = {s}": _sparse(s) for s in (1, 2, 5)}


def accuracy(short: bool) -> Table:
    """One class for each unit is enough."""
    rows = [Row(name, trained(SPEC, rule), 1 if short else 5) for name, rule in RULES.items()]
    return Table(
        "Accuracy by the number of classes that a unit hears of",
        rows,
        (Column("accuracy %", "test_accuracy", ".1f", 100),),
        [
            *(
                between(name, "test_accuracy", 94, 100, scale=100)
                for name in ("bp", "dfa", "s = 1", "s = 2", "s = 5")
            ),
            Claim(
                "s = 1 is within 1.5 points of dense direct feedback",
                lambda found: (
                    found.mean("s = 1", "test_accuracy") > found.mean("dfa", "test_accuracy") - 0.015
                ),
            ),
            *(leads(name, "shallow", "test_accuracy", 0.02) for name in ("dfa", "s = 1", "s = 2", "s = 5")),
        ],
        says="Digits, 64-100-100-10, tanh, 10 epochs of Adam by .003 in batches of 32.",
        curves=("test_accuracy",),
    )


def zeros(short: bool) -> Table:
    """What stays zero under backpropagation learns under direct feedback."""
    rules = {name: RULES[name] for name in ("bp", "dfa", "s = 1")}
    rows = [
        Row(f"{name}, W = 0", trained(SPEC, rule, *ZERO), 1 if short else 5) for name, rule in rules.items()
    ]
    return Table(
        "All weights zero at the start",
        rows,
        (Column("accuracy %", "test_accuracy", ".1f", 100), Column("training loss", "train_loss", ".2f")),
        [
            between("dfa, W = 0", "test_accuracy", 93, 100, scale=100),
            between("s = 1, W = 0", "test_accuracy", 93, 100, scale=100),
            between("bp, W = 0", "test_accuracy", 0, 20, scale=100),
        ],
        says="The net of the first table with every weight and bias zero.",
    )


def _costs(rule: str, lab: Lab, seed: int) -> Measured:
    """What one step multiplies and reads, as counted in the step that is compiled."""
    document = source.override(source.read(str(lab.folder / SPEC)), (rule,))
    step = cost(lowered(document), BATCH).step
    return Measured(
        {
            "errors": float(step.macs(Phase.ERROR)),
            "words": float(step.total.words),
            "backward": float(step.backward_macs),
        }
    )


def _equals(found: Results, row: str, errors: int, words: int) -> bool:
    return found.values(row, "errors") == [errors] and found.values(row, "words") == [words]


def costs() -> Table:
    """Multiply-adds and words are those of the closed forms."""
    units, above = sum(WIDTHS), (WIDTHS[0] * WIDTHS[1], WIDTHS[1] * CLASSES)
    closed = {
        "bp": (BATCH * sum(above), sum(above)),
        "dfa": (BATCH * CLASSES * units, CLASSES * units),
        **{f"s = {s}": (BATCH * s * units, 2 * s * units) for s in (1, 2, 5)},
    }
    return Table(
        "What errors cost",
        [Row(name, partial(_costs, rule)) for name, rule in RULES.items()],
        (
            Column("multiply-adds for errors", "errors", ",.0f"),
            Column("of the backward pass", "backward", ",.0f"),
            Column("words of feedback", "words", ",.0f"),
        ),
        [
            Claim(
                f"{name}: multiply-adds for errors {macs:,}, words {words:,}",
                partial(_equals, row=name, errors=macs, words=words),
            )
            for name, (macs, words) in closed.items()
        ],
        says=f"One step of the same net at batch N = {BATCH}, counted in the step that is compiled. With n hidden "
        "units and C classes errors take N C n multiply-adds and read C n words of dense direct feedback, N "
        "s n and 2 s n of sparse one (values and indices); backpropagation N and 1 for each weight above "
        "the first layer.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (accuracy(short), zeros(short), costs())


STUDY = Study(
    "One class for each unit",
    "After Brian Crafton et al., arXiv 1903.02083; the nets and rates are ours.",
    tables,
)
