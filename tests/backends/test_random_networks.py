"""Random networks of tokens, sequences, shared weights, masks, inputs and losses run alike on three backends."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.diagnostics import Severity, SpecError
from fac.pipeline import check, compile
from tests.fuzz.choices import Choices
from tests.fuzz.networks import network

NETWORKS = 24
BATCH, STEPS, TOLERANCE = 5, 3, 1e-10
SGD = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
"""Adam divides by the size of a gradient, be it rounding alone, as that of the biases of keys is."""


def sound(number: int) -> dict[str, Any]:
    """The first of a row that is not refused."""
    drawn = random.Random(number)
    while True:
        data = network(Choices(drawn.randbytes(400))) | {"update": SGD}
        if not any(finding.rule.severity is Severity.ERROR for finding in check(data)):
            return data


def batch(session: Session, rng: np.random.Generator) -> dict[str, Any]:
    """Of each sample the first place counts."""
    found: dict[str, Any] = {}
    for feed in session.compiled.feeds:
        shape = (BATCH, *feed.shape)
        if feed.mask:
            found[feed.name] = (rng.random(shape) < 0.6).astype(float)
            found[feed.name][:, 0] = 1
        elif feed.classes is not None:
            found[feed.name] = rng.integers(0, feed.classes, shape)
        else:
            found[feed.name] = (
                rng.standard_normal(shape) if feed.loss is None else rng.uniform(0.1, 0.9, shape)
            )
    return found


def near(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """Relative to the largest number of each array, or to one."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        size = max(1.0, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * size, err_msg=name)


@pytest.mark.parametrize("number", range(NETWORKS))
def test_steps_evaluations_and_probes_are_those_of_the_reference(number: int) -> None:
    data = sound(number)
    reference = compile(data, "reference", "float64").open()
    rng = np.random.default_rng(number)
    batches, state = [batch(reference, rng) for _ in range(STEPS)], reference.state()
    losses = [reference.step(given) for given in batches]
    for backend in ("torch", "onnx"):
        try:
            session = compile(data, backend, "float64").open(device="cpu")
        except SpecError as error:
            # GELU needs the error function, of which onnxruntime has no kernel in float64.
            if backend == "onnx" and {finding.rule.code for finding in error.diagnostics} == {"FAC401"}:
                continue
            raise
        session.load_state(state)
        for given, expected in zip(batches, losses, strict=True):
            near(session.step(given), expected, TOLERANCE)
        near(session.state(), reference.state(), TOLERANCE)
        near(session.evaluate(batches[0]), reference.evaluate(batches[0]), TOLERANCE)
        near(session.probe(batches[0]), reference.probe(batches[0]), 1e-7)
