"""Synthetic tasks of known dimension: a random teacher labels random samples."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from fac.spec.data import Data
from fac.training.dataset import DataKind, Dataset, Facts, Split

if TYPE_CHECKING:
    import numpy as np

    from fac.backend import Precision


class Teacher(Data):
    """x ~ N(0, 1); regression: y = x A B + noise; classification: y = argmax(tanh(x A) B + noise).

    A has shape (inputs, rank), B (rank, outputs): only `rank` directions of x matter. The columns of B have
    length 1, so that no target outweighs the others and few classes are rare.
    """

    source: Literal["teacher"] = Field(
        default="teacher", description="Synthetic data, labelled by a random teacher of known rank."
    )
    task: Literal["regression", "classification"] = Field(
        default="regression",
        description="`regression`: targets of a linear teacher; `classification`: classes of a tanh teacher.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the teacher and of its samples.")
    n: int = Field(default=4096, gt=0, description="Number of training samples.")
    test: int = Field(default=1024, gt=0, description="Number of test samples.")
    inputs: int = Field(default=64, gt=0, description="Values in each sample.")
    outputs: int = Field(default=10, gt=0, description="Targets of each sample, or number of classes.")
    rank: int = Field(default=4, gt=0, description="Task dimension: directions of x that decide the output.")
    noise: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of the Gaussian noise added to the teacher's outputs.",
    )

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        most = min(self.inputs, self.outputs) if self.task == "regression" else self.inputs
        if self.rank > most:
            raise ValueError(f"rank {self.rank} exceeds the {most} directions that the teacher has")
        return self


def load(data: Teacher, base: Path, precision: Precision) -> Dataset:
    """Samples of shape (n, inputs); targets (n, outputs) of variance about 1 plus noise, or labels (n,).

    Each tensor has a stream of its own: more training samples leave the teacher and the test split alone.
    """
    import numpy as np

    a = _stream(data, 0).standard_normal((data.inputs, data.rank)) / data.inputs**0.5
    b = _stream(data, 1).standard_normal((data.rank, data.outputs))
    b /= np.linalg.norm(b, axis=0)
    splits = []
    for number, count in ((2, data.n), (4, data.test)):
        x = _stream(data, number).standard_normal((count, data.inputs))
        noise = data.noise * _stream(data, number + 1).standard_normal((count, data.outputs))
        if data.task == "regression":
            y = (x @ a @ b + noise).astype(precision)
        else:
            y = (np.tanh(x @ a) @ b + noise).argmax(1)
        splits.append(Split(x.astype(precision), y))
    return Dataset("teacher", *splits)


def _stream(data: Teacher, number: int) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.Philox(np.random.SeedSequence((data.seed, number))))


KIND = DataKind(
    "teacher",
    Teacher,
    load,
    facts=lambda data: Facts(
        (data.inputs,), data.outputs, classes=data.task == "classification", train=data.n, within=(-inf, inf)
    ),
)
