"""A small network on small made-up data, for whatever is trained here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.spec.model import ModelSpec
from fac.training.dataset import Dataset, Split

Specs = Callable[..., ModelSpec]


@pytest.fixture
def make_spec() -> Specs:
    """`make_spec(train={...}, update={...})`: 3 epochs of 5 steps, with everything that a resume could lose."""

    def make(**sections: Any) -> ModelSpec:
        train = {"epochs": 3, "batch": 8, "seed": 3} | sections.pop("train", {})
        update = {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "cosine"} | sections.pop(
            "update", {}
        )
        layers = [
            {"kind": "linear", "name": "fc1", "out": 12},
            {"kind": "batch_norm", "name": "norm"},
            {"kind": "relu"},
            {"kind": "dropout", "rate": 0.2},
            {"kind": "linear", "name": "fc2", "out": 9},
            {"kind": "tanh"},
            {"kind": "linear", "name": "logits", "out": 4},
        ]
        spec = {
            "fac": 1,
            "name": "small",
            "input": {"shape": [6]},
            "layers": layers,
            "loss": {"kind": "cross_entropy"},
            "feedback": {"rule": "ldfa", "rank": 3},
        }
        return fac.load(spec | sections | {"train": train, "update": update})

    return make


@pytest.fixture
def spec(make_spec: Specs) -> ModelSpec:
    return make_spec()


@pytest.fixture
def dataset() -> Dataset:
    """43 training samples, so that the last partial batch of 3 is dropped, and 17 to test on."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 6)).astype(np.float32)
    y = (x @ rng.standard_normal((6, 4))).argmax(1)
    return Dataset("made up", Split(x[:43], y[:43]), Split(x[43:], y[43:]))


@pytest.fixture
def open_session() -> Callable[..., Session]:
    """A session, of the reference backend unless another is named."""

    def opened(spec: ModelSpec, state: Any = None, backend: str = "reference") -> Session:
        return fac.compile(spec, backend).open(state)

    return opened
