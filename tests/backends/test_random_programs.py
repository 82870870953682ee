"""Random networks under random routings: what lowers cleanly verifies, and runs alike on both backends.

And layers that read their weight through a view of it. Random functions as such are in the shipped suite.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.build.functions import build_evaluate, build_forward, build_probe, build_step
from fac.layers.linear import LINEAR, Linear
from fac.passes import optimise
from fac.pipeline import find_backend, lowered
from fac.program.kinds import Mode, State
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.verify import verify
from fac.testing.case import Subject, compare
from fac.testing.nets import Data, answers, batch, linear, mlp, spec
from fac.testing.rules import UPDATES

WIDTH = 4
TOLERANCE = 1e-10
PROFILE = settings(max_examples=50, derandomize=True)
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "leaky_relu")
LEARNING = ("fixed", "kolen_pollack")


@st.composite
def networks(draw: st.DrawFn) -> tuple[Data, ...]:
    """A DAG: any layer may read any value before it; values that nobody read are added up before the output.

    Hidden values all have one width, so that any two can be added and an identity fits anywhere.
    """
    layers: list[Data] = [linear("n0", WIDTH)]
    unread = ["n0"]
    for index in range(1, draw(st.integers(2, 7))):
        name, values = f"n{index}", [str(layer["name"]) for layer in layers]
        source = draw(st.sampled_from([*unread, *values]))
        kind = draw(st.sampled_from(["linear", "linear", "activation", "add", "dropout"]))
        reads: Any = source
        match kind:
            case "linear":
                layer = linear(name, WIDTH, bias=draw(st.booleans()))
            case "activation":
                layer = {"kind": draw(st.sampled_from(ACTIVATIONS)), "name": name}
            case "add" if len(values) > 1:
                reads = (source, draw(st.sampled_from([v for v in values if v != source])))
                layer = {"kind": "add", "name": name}
            case _:
                layer = {"kind": "dropout", "rate": 0.3, "name": name}
        layers.append(layer | {"from": reads})
        unread = [v for v in unread if v not in ((reads,) if isinstance(reads, str) else reads)] + [name]
    if len(unread) > 1:
        layers.append({"kind": "add", "name": "joined", "from": tuple(unread)})
    last = draw(st.sampled_from([True, False]))
    return (*layers, linear("out", 3, bias=last))


def matrices(through: bool) -> st.SearchStrategy[Data]:
    """Operators that fit any ends of at least 3 numbers."""
    learn = st.sampled_from(LEARNING).map(lambda rule: {"rule": rule})
    full = st.fixed_dictionaries(
        {"kind": st.just("random"), "learn": learn, "scale": st.sampled_from([1.0, 0.5])}
    )
    reads = st.sampled_from(["fixed", "oja", "local", *(["normative"] if through else [])])
    thin = st.builds(
        lambda rank, read, write: {"kind": "low_rank", "rank": rank, "read": {"rule": read}, "write": write},
        st.integers(1, 3),
        reads,
        learn,
    )
    exact: list[st.SearchStrategy[Data]] = [st.just({"kind": "transpose"})] if through else []
    return st.one_of(full, thin, *exact)


@st.composite
def routings(draw: st.DrawFn, layers: tuple[Data, ...]) -> Data:
    """A short-hand, or routes of which each `to` reads the loss, a subspace of it, or the error of a later layer.

    Errors flow from late to early layers only, so that none depends on itself.
    """
    names = [str(layer["name"]) for layer in layers if layer["kind"] == "linear"]
    if draw(st.integers(0, 3)) == 0:
        return draw(
            st.sampled_from(
                [
                    {"rule": "bp"},
                    {"rule": "fa"},
                    {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
                    {"rule": "ldfa", "rank": 2},
                    {"rule": "ldfa", "rank": 2, "learn": "local"},
                    {"rule": "direct_ldfa", "rank": 2},
                ]
            )
        )
    routes: list[Data] = []
    used = False
    for place, name in enumerate(names):
        kind = draw(st.sampled_from(["none", "through", "to", "both"]))
        if kind in ("through", "both") and place:
            routes.append({"through": name, "matrix": draw(matrices(True))})
        if kind in ("to", "both") and name != "out":
            source = draw(st.sampled_from(["loss", "loss", "task", "out"]))
            used |= source == "task"
            combine = draw(st.sampled_from(["replace", "add"]))
            matrix = draw(matrices(False))
            if source == "task":
                matrix = {"kind": "random"}
            routes.append({"to": name, "from": source, "matrix": matrix, "combine": combine})
    subspaces = ({"name": "task", "rank": 2, "basis": {"rule": draw(st.sampled_from(["fixed", "oja"]))}},)
    return {"subspaces": subspaces if used else (), "routes": tuple(routes)}


@st.composite
def specs(draw: st.DrawFn) -> Data:
    """A whole spec, without findings of severity `error`."""
    layers = draw(networks())
    update = draw(
        st.sampled_from(
            [
                {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
                {"rule": "sgd", "lr": 0.05, "clip": {"by": "norm", "at": 0.5}},
                {"rule": "adamw", "lr": 0.01},
            ]
        )
    )
    return spec(layers, draw(routings(layers)), update)


@PROFILE
@given(specs())
def test_verifies_and_backends_agree(data: Data) -> None:
    program = lowered(data)
    for function in (
        build_forward(program),
        build_evaluate(program),
        build_step(program)[0],
        build_probe(program),
    ):
        verify(function)
        optimise(function, after=lambda _, made: verify(made))
    given = [batch(n=6 - step, seed=step) for step in range(3)]
    expected, found = (
        answers(Subject(find_backend(name), "float64", "cpu").open(data), given)
        for name in ("reference", "torch")
    )
    compare(found, expected, TOLERANCE)


def through_views(b: Builder, layer: Linear, inputs: Any, state: State, mode: Mode) -> Value:
    """A product with the weight [out, in], which is kept as the vector [out * in] in between."""
    weight = state["weight"]
    out, width = weight.type.shape
    vector = b.reshape(weight, (layer.out * inputs[0].type.shape[1],))
    return b.matmul(inputs[0], b.reshape(vector, (out, width)), tb=True)


@pytest.mark.parametrize("update", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_weight_that_is_read_through_views_trains_as_one_that_is_not(backend: str, update: str) -> None:
    """The layer below gets its error from the weight as it was before the step."""
    data = spec(mlp(6, 5, 3, bias=False), update=UPDATES[update])
    given = [batch(n=6, seed=step) for step in range(3)]
    subject, plain = Subject(find_backend(backend), "float64", "cpu"), LINEAR.forward
    expected = answers(subject.open(data), given)
    try:
        object.__setattr__(LINEAR, "forward", through_views)  # a kind is frozen
        found = answers(subject.open(data), given)
    finally:
        object.__setattr__(LINEAR, "forward", plain)
    compare(found, expected, TOLERANCE)
