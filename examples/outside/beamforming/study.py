"""Who transmits? Networks that read beamforming feedback, by rule and place of the test (after arXiv 2204.07614)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fac.plugin import load
from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, every, leads, trained

HERE = Path(__file__).parent
SPEC = "beamforming.fac.yaml"
RULES = {
    "bp": ("feedback={rule: bp}",),
    "dfa": ("feedback={rule: dfa}", "update.lr=0.0005"),
    "ldfa": ("feedback={rule: ldfa, rank: 10, learn: normative}", "update.feedback.lr_scale=10"),
    "frozen": ("feedback={rule: frozen}",),
    "shallow": ("feedback={rule: shallow}",),
}
SPLITS = {
    "all": "nine positions, and later frames at the same",
    "odd_even": "positions 1, 3, 5, 7, 9, tested at 2, 4, 6, 8",
    "low_high": "positions 1 to 5, tested at 6 to 9",
    "moving": "on ways from one position to the next, tested on other ways",
}


def angles(bits: tuple[int, int] | None, lab: Lab, seed: int) -> Measured:
    """Of random matrices with orthonormal columns: how far they are from what their angles say."""
    ours = load(HERE / "beamforming.py")
    rng = np.random.default_rng(seed)
    v = np.linalg.qr(ours.normal(rng, 20_000, 3, 2))[0]
    wanted = v * np.exp(-1j * np.angle(v[..., -1:, :]))
    found = ours.compressed(v)
    if bits is not None:
        offset, step = ours.scale(bits)
        found = offset + step * ours.quantised(found, bits)
    made = ours.expanded(found)
    gram = np.conj(np.swapaxes(made, -1, -2)) @ made
    return Measured(
        {
            "mean": float(np.abs(made - wanted).mean()),
            "most": float(np.abs(made - wanted).max()),
            "orthonormal": float(np.abs(gram - np.eye(2)).max()),
        }
    )


def matrices() -> Table:
    """What quantisation costs."""
    names = {"not quantised": None, "9 and 7 bits": (9, 7), "7 and 5 bits": (7, 5)}
    return Table(
        "What a frame holds of a matrix",
        [Row(name, partial(angles, bits), 3) for name, bits in names.items()],
        (
            Column("mean error", "mean", ".1e"),
            Column("largest", "most", ".0e"),
            Column("from orthonormal", "orthonormal", ".0e"),
        ),
        [
            every(
                "angles that are not quantised lose nothing, to 1e-12", ["not quantised"], "most", 0, 1e-12
            ),
            every("columns stay orthonormal to 1e-12", list(names), "orthonormal", 0, 1e-12),
            every("9 and 7 bits cost 2.8e-3 to 3.0e-3", ["9 and 7 bits"], "mean", 2.7e-3, 3.1e-3),
            every("7 and 5 bits cost 1.1e-2 to 1.2e-2", ["7 and 5 bits"], "mean", 1.05e-2, 1.25e-2),
        ],
        says="20,000 random matrices [3, 2] with orthonormal columns, each to angles and back; phases of columns, "
        "which a frame leaves out, are taken off before.",
    )


def draws(*changes: str) -> Callable[[Lab, int], Measured]:
    """A training whose data have its seed, too."""
    return lambda lab, seed: trained(SPEC, *changes, f"data.seed={seed}")(lab, seed)


def rules(short: bool) -> Table:
    """The rules beside one another, and what they know of positions that they have not seen."""
    few: tuple[str, ...] = ()
    if short:
        few = (
            "data.frames=12",
            "data.devices=4",
            "data.sub_carriers=54",
            "input.shape=[6, 1, 54]",
            "train.epochs=4",
        )
    compared = ("bp", "shallow") if short else tuple(RULES)
    rows = [
        Row(f"{split}, {rule}", draws(*RULES[rule], f"data.split={split}", *few), 1 if short else 3)
        for split in (("all", "low_high") if short else SPLITS)
        for rule in compared
    ]

    def known(found: Results) -> bool:
        seen, unseen = (found.values(f"{split}, bp", "test_accuracy") for split in ("all", "low_high"))
        return min(seen) > max(unseen)

    return Table(
        "Rules and splits",
        rows,
        (Column("test %", "test_accuracy", ".1f", 100), Column("training loss", "train_loss", ".2f")),
        [
            Claim(
                "bp tells frames from known positions apart better than those from others, for every seed",
                known,
            ),
            leads("all, bp", "all, shallow", "test_accuracy", 0.05),
        ],
        says="Adam by 0.002, of dfa by 0.0005, the last epoch; ldfa of rank 10 that follows "
        "the weights; each seed draws transmitters, channels and frames of its own. "
        + " ".join(
            f"{split}: {says}." for split, says in SPLITS.items() if not short or split in ("all", "low_high")
        ),
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    load(HERE / "beamforming.py")
    return (matrices(), rules(short))


STUDY = Study(
    "Who transmits?",
    "After Francesca Meneghello, Michele Rossi and Francesco Restuccia, arXiv 2204.07614; transmitters and channels "
    "are drawn here.",
    tables,
)
