"""Metamorphic cases: what must hold between two answers of one backend, whatever the reference says.

They name what a wrong backend does: it ignores a feedback matrix, multiplies with the weight instead, or adds routes
wrongly. An update is what one SGD step of learning rate 1 adds to each parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fac.backend import STEP, Array, Precision, Session
from fac.pipeline import lowered
from fac.testing.case import Answers, Case, Subject, law
from fac.testing.nets import NET, SKIP, Batch, Data, Layers, batch, batches, linear, spec

State = dict[str, Array]
Edit = Callable[[State], State]
"""The state with other values for some of its arrays."""
Matrices = dict[str, Array]
"""For each node with a route the matrix M [reads, writes] of F(d) = d M, d [N, reads]."""

LINEAR: Layers = (linear("fc1", 8), linear("fc2", 6), linear("out", 3))
UNIT: Data = {"rule": "sgd", "lr": 1.0}
DECAY: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
ONE, SEVERAL = batches(7), batches(7, 7, 3, 7, 7)


def pair(rule: str, rank: int = 6) -> Data:
    """A rule with fixed factors; at rank 6 no layer here needs more, and short-hands clip it to the outputs."""
    return {"rule": rule, "rank": rank, "learn": "fixed"}


FA, DFA, LDFA, DIRECT_LDFA = {"rule": "fa"}, {"rule": "dfa"}, pair("ldfa"), pair("direct_ldfa")


def cases() -> Iterator[Case]:
    """Routings that mean the same, then what a change of one matrix changes."""
    yield from exact_feedback()
    yield from full_rank()
    for combine in ("replace", "add"):
        yield law(
            f"two equal routes at half scale are one x {combine}",
            partial(update, spec(NET, direct(combine, 0.5, 0.5), UNIT), twice),
            partial(update, spec(NET, direct(combine, 1.0), UNIT), same),
        )
    yield law("clipped steps and oja see no size of errors", partial(sized, HUGE), partial(sized, LARGE))
    yield from accumulated()
    thin = {"fa": FA, "dfa": DFA, "ldfa": pair("ldfa", 2), "direct_ldfa": pair("direct_ldfa", 2)}
    for rule, feedback in thin.items():
        data = spec(NET, feedback, UNIT)
        name = f"other feedback gives another update x {rule}"
        yield law(name, partial(negated, data), partial(mirrored, data))


def accumulated() -> Iterator[Case]:
    """Updates by the gradients of three batches, and by those of one that has all their samples."""
    clipped = {"rule": "sgd", "lr": 0.1, "momentum": 0.9, "clip": {"by": "norm", "at": 0.1}}
    for name, feedback, by in (("bp", {"rule": "bp"}, "adam"), ("fa", FA, "sgd"), ("ldfa", LDFA, "adam")):
        moving = {"rule": "adam", "lr": 0.01} if by == "adam" else clipped
        yield law(
            f"an update by three batches is one by all their samples x {name} x {by}",
            partial(after_updates, spec(NET, feedback, moving, train={"accumulate": 3}), 3),
            partial(after_updates, spec(NET, feedback, moving), 1),
        )


def after_updates(data: Data, parts: int, subject: Subject) -> Answers:
    """The state after two updates by 18 samples each, which come in so many batches."""
    session = subject.open(data)
    for x, y in batches(18, 18):
        for start in range(0, 18, 18 // parts):
            session.step(x[start : start + 18 // parts], y[start : start + 18 // parts])
    found = session.state()
    return {name: found[name] for name in found if not name.endswith(".accumulated") and name != STEP}


def exact_feedback() -> Iterator[Case]:
    """Feedback that sends what backpropagation sends."""
    send = partial(sending, weights, True)
    for name, layers in {"a chain": NET, "skips": SKIP}.items():
        bp = partial(update, spec(layers, update=UNIT), same)
        yield law(f"fa with B = W is bp x {name}", partial(update, spec(layers, FA, UNIT), send), bp)
        routed = partial(update, spec(layers, LDFA, UNIT), send)
        yield law(f"ldfa with P = 1, Q = W^T is bp x {name}", routed, bp)
    learned = spec(NET, FA | {"learn": {"rule": "kolen_pollack"}}, DECAY)
    yield law(
        "fa_kp with B = W stays bp",
        partial(update, learned, send, given=SEVERAL),
        partial(update, spec(NET, update=DECAY), same, given=SEVERAL),
    )
    bp = partial(update, spec(LINEAR, update=UNIT), same)
    for rule, feedback in {"dfa": DFA, "direct_ldfa": DIRECT_LDFA}.items():
        routed = partial(update, spec(LINEAR, feedback, UNIT), partial(sending, products, False))
        yield law(f"{rule} with products of weights is bp x linear layers", routed, bp)


def full_rank() -> Iterator[Case]:
    """Pairs of full rank beside the full matrix that they multiply to."""
    edit = partial(sending, partial(drawn, weights), True)
    full = partial(update, spec(NET, FA, UNIT), edit)
    yield law("ldfa of full rank with P = 1 is fa", partial(update, spec(NET, LDFA, UNIT), edit), full)
    edit = partial(sending, partial(drawn, products), False)
    full = partial(update, spec(NET, DFA, UNIT), edit)
    low = partial(update, spec(NET, DIRECT_LDFA, UNIT), edit)
    yield law("direct_ldfa of full rank with P = 1 is dfa", low, full)


# -- routings that mean the same ------------------------------------------------------------------------------------


def update(data: Data, edit: Edit, subject: Subject, given: Sequence[Batch] = ONE) -> Answers:
    """What a step, or several, add to each parameter."""
    session = stepping(data, subject)
    return moved(session, edit(away_from_zero(session.state())), given)


def stepping(data: Data, subject: Subject) -> Session:
    """A session of which nothing is asked but steps: measurements are many ops, and other cases compare them."""
    return subject.open({**data, "probes": ()})


def moved(session: Session, state: State, given: Sequence[Batch] = ONE) -> dict[str, Any]:
    """What steps from that state add to each parameter."""
    session.load_state(state)
    for x, y in given:
        session.step(x, y)
    after = session.state()
    return {
        slot.name: after[slot.name] - state[slot.name] for slot in session.compiled.state if slot.parameter
    }


def away_from_zero(state: State) -> State:
    """Noise on the biases: a term that is zero can hide a mistake."""
    rng = np.random.default_rng(0)
    biases = [name for name in state if name.endswith(".bias")]
    return state | {name: 0.2 * rng.standard_normal(state[name].shape) for name in biases}


def same(state: State) -> State:
    """No edit."""
    return state


def sending(matrices: Callable[[State], Matrices], through: bool, state: State) -> State:
    """Every route sends d M: as B, which a `to` route keeps transposed, or as P = 1 and Q = M^T."""
    found = dict(state)
    for node, m in matrices(state).items():
        if f"{node}.feedback.B" in state:
            found[f"{node}.feedback.B"] = m if through else m.T
        else:
            found |= {f"{node}.feedback.P": np.eye(len(m)), f"{node}.feedback.Q": m.T}
    return found


def weights(state: State) -> Matrices:
    """What backpropagation sends from a layer to the one below."""
    return {node: state[f"{node}.weight"] for node in ("fc2", "out")}


def products(state: State) -> Matrices:
    """What backpropagation sends from the output to a hidden layer, if all layers are linear."""
    out, fc2 = state["out.weight"], state["fc2.weight"]
    return {"fc1": out @ fc2, "fc2": out}


def drawn(like: Callable[[State], Matrices], state: State) -> Matrices:
    """Random matrices of those shapes."""
    rng = np.random.default_rng(1)
    return {node: rng.standard_normal(m.shape) for node, m in like(state).items()}


def direct(combine: str, *scales: float) -> Data:
    """Routes from the loss to fc1."""
    return {
        "routes": tuple(
            {"to": "fc1", "matrix": {"kind": "random", "scale": scale}, "combine": combine}
            for scale in scales
        )
    }


def twice(state: State) -> State:
    """The second route's matrix is the first one's."""
    return state | {"fc1.feedback.2.B": state["fc1.feedback.B"]}


# -- sizes ----------------------------------------------------------------------------------------------------------

LARGE: Mapping[Precision, float] = {"float64": 2.0**10, "float32": 2.0**10}
HUGE: Mapping[Precision, float] = {"float64": 2.0**270, "float32": 2.0**40}
"""Data of which gradients are finite, and what is squared of them is not."""


def sized(size: Mapping[Precision, float], subject: Subject) -> Answers:
    """What a clipped step adds to each array of linear layers without bias, where gradients go with size squared."""
    layers = tuple(linear(name, out, bias=False) for name, out in (("fc1", 8), ("fc2", 6), ("out", 3)))
    clip = UNIT | {"clip": {"by": "norm", "at": 0.5}}
    session = subject.open(spec(layers, {"rule": "ldfa", "rank": 2}, clip, loss="mse"))
    state, c = session.state(), size[subject.precision]
    x, y = batch(7, classes=None)
    session.step(c * x, c * y)
    after = session.state()
    return {slot.name: after[slot.name] - state[slot.name] for slot in session.compiled.state}


# -- other feedback -------------------------------------------------------------------------------------------------


def negated(data: Data, subject: Subject) -> Answers:
    """The update with each feedback matrix negated in its turn."""
    session = stepping(data, subject)
    state, given = session.state(), batches(7, shape=data["input"]["shape"])
    return {
        f"-{matrix}: {name}": value
        for matrix in feedback_of(state)
        for name, value in moved(session, state | {matrix: -state[matrix]}, given).items()
    }


def mirrored(data: Data, subject: Subject) -> Answers:
    """What that has to be: the update of what the matrix feeds changes its sign, all else stays.

    A `through` route feeds all layers below, in networks in which each reads the one before; a `to` route its own, and
    a normalisation behind it.
    """
    session = stepping(data, subject)
    state, given = session.state(), batches(7, shape=data["input"]["shape"])
    before = moved(session, state, given)
    program = lowered(data)
    order = [node.name for node in program.parametric]
    found: dict[str, Any] = {}
    for matrix in feedback_of(state):
        node = matrix.partition(".feedback.")[0]
        direct = data["feedback"]["rule"] in ("dfa", "direct_ldfa")
        at_site = [name for name in order if program.sites[name] == program.sites[node]]
        fed = at_site if direct else order[: order.index(node)]
        found |= {f"-{matrix}: {n}": -v if n.rpartition(".")[0] in fed else v for n, v in before.items()}
    return found


def feedback_of(state: State) -> list[str]:
    """Names of feedback matrices."""
    return [name for name in state if ".feedback." in name]
