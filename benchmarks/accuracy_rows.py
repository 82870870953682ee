"""What `benchmarks.accuracy` trains: networks of vectors and of maps, and rules for each; and what a study is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import log
from typing import Any

from fac.training.logs import EpochRecord

SEEDS = (0, 1, 2)

Plain = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    feedback: Plain | list[Plain]
    update: Plain
    accept: tuple[float, float] | None = None
    """Accuracy in per cent that the mean must lie between; None where there is nothing to compare with."""
    frozen: tuple[str, ...] = ()
    """Layers and blocks that keep their initial values."""

    @property
    def rank(self) -> str:
        """As it is written, for each section that writes one."""
        sections = self.feedback if isinstance(self.feedback, list) else [self.feedback]
        return ", ".join(str(one["rank"]) for one in sections if "rank" in one) or "–"

    @property
    def optimiser(self) -> str:
        """With its learning rate."""
        return f"{self.update['rule']} {self.update['lr']:g}"


@dataclass(frozen=True)
class Measure:
    """What a study reads off a run after each epoch."""

    name: str
    of: Callable[[EpochRecord], float]
    better: int
    """1 where more is better, -1 where less is."""


ACCURACY = Measure("accuracy", lambda epoch: 100 * (epoch.test_accuracy or 0.0), 1)
"""Per cent of the test samples."""
BITS = Measure("bits", lambda epoch: epoch.test_loss / log(2), -1)
"""Cross entropy of the test samples, in bits for each target."""


@dataclass(frozen=True)
class Study:
    """A network, and the rules that train it."""

    results: str
    """The file of its results."""
    input: Plain
    layers: tuple[Plain, ...]
    epochs: int
    rows: tuple[Row, ...]
    claims: tuple[tuple[str, str, str, str, float], ...]
    """(rule, rank, compared with, optimiser of both, most by which its mean may fall short)."""
    data: Plain = field(default_factory=lambda: {"source": "fashion_mnist"})
    name: str = "fashion"
    batch: int = 128
    measure: Measure = ACCURACY

    def spec(self, row: Row, seed: int) -> Plain:
        """The whole spec as plain data."""
        layers = [
            {**one, "trainable": False} if one.get("name") in row.frozen else one for one in self.layers
        ]
        return {
            "fac": 1,
            "name": self.name,
            "input": self.input,
            "layers": layers,
            "loss": {"kind": "cross_entropy"},
            "feedback": row.feedback,
            "update": row.update,
            "data": self.data,
            "train": {"epochs": self.epochs, "batch": self.batch, "seed": seed},
        }


def sgd(lr: float) -> Plain:
    """Heavy ball."""
    return {"rule": "sgd", "lr": lr, "momentum": 0.9, "schedule": "cosine"}


def adam(lr: float, feedback: float = 1.0) -> Plain:
    """Adam; `feedback` is the factor on the learning rate of learned feedback."""
    return {"rule": "adam", "lr": lr, "schedule": "cosine", "feedback": {"lr_scale": feedback}}


def ldfa(learn: str, rank: int, rate: float = 1.0, **settings: int) -> Plain:
    """Low-rank feedback, layer by layer."""
    return {"rule": "ldfa", "rank": rank, "learn": learn, "rate": rate, **settings}


HEAD = {"kind": "linear", "name": "logits", "out": 10}


def dense() -> Iterator[Plain]:
    """784-512-512-512, ReLU; weights and feedback uniform in +-sqrt(6/fan_in), biases zero."""
    for name in ("fc1", "fc2", "fc3"):
        yield {"kind": "linear", "name": name, "out": 512}
        yield {"kind": "relu"}
    yield HEAD


def maps() -> Iterator[Plain]:
    """Three convolutions of 3×3 with batch norms and max pools, 16, 32 and 64 wide: 28×28, 14×14, 7×7."""
    for number, out in enumerate((16, 32, 64), 1):
        yield {"kind": "conv2d", "name": f"c{number}", "out": out, "kernel": 3, "padding": 1, "bias": False}
        yield {"kind": "batch_norm", "name": f"n{number}"}
        yield {"kind": "relu"}
        if number < 3:
            yield {"kind": "max_pool2d", "kernel": 2}
    yield {"kind": "flatten"}
    yield HEAD


DENSE = Study(
    "accuracy",
    {"shape": [784]},
    tuple(dense()),
    5,
    (
        Row("bp", {"rule": "bp"}, sgd(0.05), (88.6, 89.6)),
        Row("bp", {"rule": "bp"}, adam(1e-3), (89.0, 89.8)),
        Row("fa", {"rule": "fa"}, sgd(0.005), (84.0, 85.6)),
        Row("fa", {"rule": "fa"}, adam(1e-3), (79.5, 83.5)),
        Row("dfa", {"rule": "dfa"}, sgd(0.005), (82.0, 85.0)),
        Row("dfa", {"rule": "dfa"}, adam(1e-3), (82.0, 85.0)),
        Row("shallow", {"rule": "shallow"}, sgd(0.05), (82.9, 84.1)),
        Row("ldfa fixed", ldfa("fixed", 10), sgd(0.005), (82.5, 85.0)),
        Row("ldfa kolen_pollack", ldfa("kolen_pollack", 10), sgd(0.01), (84.5, 86.3)),
        Row("ldfa kolen_pollack", ldfa("kolen_pollack", 64), sgd(0.01), (85.3, 86.9)),
        Row("ldfa oja_kp", ldfa("oja_kp", 10), sgd(0.05), (88.1, 89.2)),
        Row("ldfa oja_kp", ldfa("oja_kp", 64), sgd(0.05), (88.1, 89.2)),
        Row("ldfa oja_kp", ldfa("oja_kp", 10, rate=0.5), adam(1e-3, feedback=10), (87.0, 88.8)),
        Row("ldfa local", ldfa("local", 10), adam(3e-3), (87.5, 88.9)),
        Row("ldfa normative", ldfa("normative", 10), adam(1e-3, feedback=10), (88.5, 89.4)),
        Row("ldfa normative", ldfa("normative", 64), adam(1e-3, feedback=10), (88.9, 89.8)),
        # The learning rate is the best of 0.005, 0.015 and 0.05 on the last 10,000 training images; 0.05 diverges.
        Row("direct_ldfa oja_kp", {"rule": "direct_ldfa", "rank": 10}, sgd(0.015)),
    ),
    (("ldfa oja_kp", "10", "bp", "sgd 0.05", 0.7), ("ldfa normative", "64", "bp", "adam 0.001", 0.4)),
)

SGD = sgd(0.05)
WIDTHS = {"c2": 32, "c3": 64}
"""Of the convolutions past which an error is sent."""


def shares(divisor: int) -> list[Plain]:
    """`ldfa` with a share of each width for a rank; that of the head stays 10."""
    ranks = {name: width // divisor for name, width in WIDTHS.items()} | {"logits": 10}
    return [{"rule": "ldfa", "rank": rank, "nodes": name} for name, rank in ranks.items()]


MAPS = Study(
    "accuracy_maps",
    {"shape": [1, 28, 28]},
    tuple(maps()),
    3,
    (
        Row("bp", {"rule": "bp"}, SGD),
        Row("fa", {"rule": "fa"}, SGD),
        Row("dfa", {"rule": "dfa"}, SGD),
        Row("shallow", {"rule": "shallow"}, SGD),
        # Their norms go on: frozen from the start they would read averages of 0 and 1, and normalise nothing.
        Row("frozen body", {"rule": "bp"}, SGD, frozen=("c2", "c3")),
        Row("ldfa oja_kp", ldfa("oja_kp", 10), SGD),
        Row("ldfa oja_kp", shares(8), SGD),
        Row("ldfa oja_kp", shares(4), SGD),
        Row("kolen_pollack", {"rule": "fa", "learn": {"rule": "kolen_pollack"}}, SGD),
    ),
    (("ldfa oja_kp", "8, 16, 10", "bp", "sgd 0.05", 1.0),),
)
