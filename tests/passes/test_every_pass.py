"""Every pass of the core and of every backend: a step without it is equal, as the pass claims, and some step changes.

A new pass is tested here as soon as it stands in its register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fac.backend import Artifact, Backend, Compiled
from fac.build.disabling import own
from fac.passes import PASSES
from fac.pipeline import backends, compiled, emit, find_backend, lowered
from fac.program.program import Program
from fac.step.transform import Keeps, Pass
from fac.testing.nets import shaken
from fac_torch.artifact import TorchArtifact
from tests.passes.specs import SPECS

STEPS = 2
ROUNDING, TURNED = 1e-13, 1e-2
"""Of numbers of about 1, in float64, after some steps; where a spec rounds to bfloat16, sums in another order turn
a few roundings over, each by 2^-8."""


def each() -> list[Any]:
    """Passes of the core where an op is computed alone, so that nothing else changes, and those of each backend."""
    found = [("reference", step) for step in PASSES]
    found += [(backend.name, step) for backend in backends() for step in own(backend)]
    return [pytest.param(name, step, id=f"{name}-{step.name}") for name, step in found]


@cache
def program(name: str) -> Program:
    return lowered(SPECS[name])


@cache
def given(name: str) -> Compiled:
    """What all backends are given."""
    return compiled(program(name))


@cache
def everything(backend: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """What is made by all passes, and what it computes."""
    made = emit(program(name), find_backend(backend), "float64", made=given(name))
    return text(made), answers(made)


def text(made: Artifact) -> str:
    """Where a backend changes more than the step, all that it emits."""
    return made.source if isinstance(made, TorchArtifact) else made.listing()


def lacking(backend: str, name: str, *disabled: str) -> Artifact:
    """The same without some passes."""
    off, of = frozenset(disabled), program(name)
    core = off.intersection(step.name for step in PASSES)
    made = compiled(replace(of, disabled=off)) if core else replace(given(name), disabled=off)
    return emit(of, find_backend(backend), "float64", made=made)


def answers(artifact: Artifact) -> dict[str, Any]:
    """Losses and state after some steps, and the output; of torch, which has kernels of them, measurements too."""
    session = artifact.open(device="cpu")
    session.load_state(shaken(session.state()))
    (feed,), rng, found = artifact.compiled.inputs, np.random.default_rng(1), dict[str, Any]()
    for step in range(STEPS):
        shape = (6, *feed.shape)
        x = rng.standard_normal(shape) if feed.classes is None else rng.integers(0, feed.classes, shape)
        y = rng.integers(0, 3, 6)
        found[f"loss {step}"] = float(session.step(x, y)["loss"])
    if isinstance(artifact, TorchArtifact):
        found |= session.probe(x, y)
    return found | session.state() | session.evaluate(x, y) | {"forward": session.forward(x)}


def tolerance(name: str) -> float:
    """Relative and absolute, of what only rounds otherwise."""
    return TURNED if "mixed_precision" in SPECS[name].get("train", {}) else ROUNDING


def compare(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(("backend", "step"), each())
def test_a_step_without_a_pass_is_equal_and_another_one(backend: str, step: Pass[Any]) -> None:
    changed = []
    for name in SPECS:
        whole, expected = everything(backend, name)
        made = lacking(backend, name, step.name)
        if text(made) != whole:
            changed.append(name)
            compare(answers(made), expected, 0.0 if step.keeps is Keeps.BITS else tolerance(name))
    assert changed, f"`{step.name}` does nothing for any of these networks: is it of any use?"


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_step_without_any_pass_is_equal(backend: str, name: str) -> None:
    """So nothing that is needed for right numbers is a pass, whatever others are left out."""
    names = [step.name for step in (*PASSES, *own(find_backend(backend)))]
    compare(answers(lacking(backend, name, *names)), everything(backend, name)[1], tolerance(name))


@pytest.mark.parametrize("backend", backends(), ids=lambda backend: backend.name)
def test_names_are_words_of_their_own(backend: Backend) -> None:
    names = [step.name for step in (*PASSES, *own(backend))]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() and name == name.lower() for name in names)
