"""Direct feedback where tokens are steps of a recurrence, or are looked at: which error comes to which of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Array, Session
from fac.build.costs import backward_ratio
from fac.pipeline import lowered
from fac.program.counted import Counted
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, linear
from tests.rules.test_direct_tokens import EACH, FLAT, PERMUTE, RANDOM, TANH, tokens

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
N, T, S, WIDTH, OUT = 6, 4, 3, 5, 2
DFA: Data = {"rule": "dfa"}
KP: Data = {"rule": "dfa", "learn": {"rule": "kolen_pollack"}}
REPEAT: Data = {
    "kind": "repeat",
    "name": "r",
    "times": T,
    "tie": True,
    "steps": "ih",
    "gather": True,
    "from": "begin",
    "body": (
        linear("hh", WIDTH),
        {"kind": "add", "name": "sum", "from": ("token", "hh")},
        {"kind": "tanh", "name": "new"},
    ),
}
RNN: Layers = ({"kind": "rnn", "name": "r", "out": WIDTH, "gather": True, "from": "x"}, linear("out", OUT))
BY_HAND: Layers = (
    {"kind": "zeros", "name": "begin", "shape": (WIDTH,), "from": "x"},
    linear("ih", WIDTH, **{"from": "x"}),
    REPEAT,
    linear("out", OUT),
)
GRU: Layers = (RNN[0] | {"kind": "gru"}, RNN[1])


def spec(layers: Layers, feedback: Any, loss: Data | None = None) -> Data:
    return {
        "fac": 1,
        "name": "steps",
        "inputs": {
            "x": {"shape": (T, 3)},
            "memory": {"shape": (S, 3)},
            "m": {"shape": (T,), "mask": True},
        },
        "layers": layers,
        "loss": {"kind": "mse"} | (loss or {}),
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 1.0},
    }


def opened(data: Data, backend: str = "reference") -> Session:
    return fac.compile(data, backend, "float64").open()


def batch(mask: Array | None = None) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.standard_normal((N, T, 3)),
        "memory": rng.standard_normal((N, S, 3)),
        "y": rng.standard_normal((N, T, OUT)),
        "m": np.ones((N, T)) if mask is None else np.broadcast_to(mask, (N, T)).copy(),
    }


def moved(session: Session, given: dict[str, Array]) -> dict[str, Array]:
    before = session.state()
    session.step(given)
    return {name: before[name] - value for name, value in session.state().items()}


@BACKENDS
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(("layers", "ih"), [(RNN, "r.ih"), (BY_HAND, "ih")])
def test_each_step_learns_from_the_error_of_what_it_makes(
    layers: Layers, ih: str, learn: bool, backend: str
) -> None:
    """One B for all steps, which reads the error of one step and learns from it."""
    session, given = opened(spec(layers, KP if learn else DFA), backend), batch()
    p, x = session.state(), given["x"]
    assert p["r.0.hh.feedback.B"].shape == p[f"{ih}.feedback.B"].shape == (WIDTH, OUT)
    h, before, after = np.zeros((N, WIDTH)), [], []
    for t in range(T):
        before.append(h)
        h = np.tanh(
            x[:, t] @ p[f"{ih}.weight"].T + p[f"{ih}.bias"] + h @ p["r.0.hh.weight"].T + p["r.0.hh.bias"]
        )
        after.append(h)
    e = 2 * (np.stack(after, 1) @ p["out.weight"].T + p["out.bias"] - given["y"]) / given["y"].size
    to_state, to_token = e @ p["r.0.hh.feedback.B"].T, e @ p[f"{ih}.feedback.B"].T
    found = moved(session, given)
    assert distance(found["r.0.hh.weight"], np.einsum("nth,ntk->hk", to_state, np.stack(before, 1))) < 1e-12
    assert distance(found["r.0.hh.bias"], to_state.sum((0, 1))) < 1e-12
    assert distance(found[f"{ih}.weight"], np.einsum("nth,ntd->hd", to_token, x)) < 1e-12
    if learn:
        made = np.stack([h @ p["r.0.hh.weight"].T + p["r.0.hh.bias"] for h in before], 1)
        assert distance(found["r.0.hh.feedback.B"], np.einsum("nth,ntv->hv", made, e)) < 1e-12


@BACKENDS
@pytest.mark.parametrize("feedback", [DFA, {"rule": "direct_ldfa", "rank": 2}], ids=["dfa", "direct_ldfa"])
@pytest.mark.parametrize("step", range(T))
def test_no_error_goes_back_in_time_or_forward(step: int, feedback: Data, backend: str) -> None:
    """Where the loss counts one step, the recurrent weight learns as much from what that step reads, and no more."""
    session, given = opened(spec(GRU, feedback, {"mask": "m"}), backend), batch(np.eye(T)[step])
    found = moved(session, given)["r.0.hh.weight"]
    assert found.any() == (step > 0)
    far = given | {"x": given["x"].copy()}
    far["x"][:, step + 1 :] += 1
    assert (
        distance(moved(opened(spec(GRU, feedback, {"mask": "m"}), backend), far)["r.0.hh.weight"], found)
        < 1e-12
    )


def test_of_two_recurrences_each_step_reads_its_element() -> None:
    """Above another one, behind an attention and a skip; and where a single state is read all get what there is."""
    two = (RNN[0] | {"name": "below"}, GRU[0] | {"from": "below"}, {"kind": "tanh"}, linear("out", OUT))
    for layers in (
        two,
        (*RNN[:1], {"kind": "attention", "name": "look", "heads": 1}, {"kind": "tanh"}, RNN[1]),
    ):
        routes = lowered(spec(layers, DFA)).routes
        steps = {r.node: r.ends.step for r in routes if r.ends and r.node.endswith(".hh")}
        assert steps
        assert all(step == int(name.split(".")[1]) for name, step in steps.items())
    begun = linear("begin", WIDTH, **{"from": "s"})
    layers = (
        {"kind": "select", "name": "s", "index": -1, "from": "x"},
        begun,
        RNN[0] | {"from": ("x", "begin")},
    )
    found = {r.node: r.ends for r in lowered(spec((*layers, RNN[1]), DFA)).routes if r.ends}
    assert (found["r.ih"].places, found["r.2.hh"].step, found["begin"].reads) == (T, 2, T * OUT)
    last = lowered(spec(({**RNN[0], "gather": False}, RNN[1]), DFA))
    assert {r.ends.step for r in last.routes if r.ends} == {None}


CROSS: Layers = (
    linear("kept", 4, **{"from": "memory"}),
    linear("fc", 4, **{"from": "x"}),
    {"kind": "attention", "name": "look", "heads": 1, "from": ("fc", "kept")},
    linear("out", OUT),
)


@BACKENDS
@pytest.mark.parametrize("count", [S, T])
def test_tokens_that_are_looked_at_get_equal_parts_of_the_sum_of_the_errors(count: int, backend: str) -> None:
    """However many there are. With products of weights it is backpropagation where each is looked at alike."""
    data = spec(CROSS, DFA)
    data["inputs"]["memory"] = {"shape": (count, 3)}
    exact, routed = opened(data | {"feedback": {"rule": "bp"}}, backend), opened(data, backend)
    given = batch()
    given["memory"] = np.random.default_rng(2).standard_normal((N, count, 3))
    state = routed.state()
    assert state["kept.feedback.B"].shape == (4, OUT)
    alike = {name: np.zeros_like(state[name]) for name in ("look.q.weight", "look.q.bias")}
    above = (state["out.weight"] @ state["look.proj.weight"]).T
    products = {"look.v.feedback.B": above, "kept.feedback.B": state["look.v.weight"].T @ above}
    routed.load_state(state | alike | products)
    exact.load_state({name: (state | alike)[name] for name in exact.state()})
    one, other = moved(routed, given), moved(exact, given)
    for name in ("kept.weight", "kept.bias", "look.v.weight", "look.v.bias"):
        assert other[name].any()
        assert distance(one[name], other[name]) < 1e-12, name


def test_a_memory_of_any_length_costs_what_its_tokens_do() -> None:
    found = []
    for count in (T, T - 1):
        data = spec(CROSS, DFA)
        data["inputs"]["memory"] = {"shape": (count, 3)}
        found.append(backward_ratio(lowered(data)))
    assert abs(found[0] - found[1]) < 0.05
    assert max(found) < 1


def inside(*body: Data) -> Layers:
    """Tokens with something beside them, and a loss for each."""
    return (*EACH[:2], {"kind": "residual", "name": "r", "body": body}, linear("out", 3))


FIFTH = {"kind": "reshape", "shape": (5, 6)}
ONE, OTHER = ({"kind": "select", "name": f"s{i}", "index": i, "from": "act"} for i in (0, 1))
ROWS: dict[str, tuple[Layers, int, bool]] = {
    "a weight that mixes": (inside(PERMUTE, linear("mix", 5), PERMUTE), 5, True),
    "a row of all": (inside(FLAT, linear("w", 30), FIFTH), 5, True),
    "laid out anew": ((*EACH[:2], {"kind": "reshape", "shape": (10, 3)}, FIFTH, linear("out", 3)), 5, True),
    "another order": (
        (*EACH[:2], ONE, OTHER, {"kind": "stack", "from": ("s1", "s0")}, linear("out", 3)),
        2,
        True,
    ),
    "the same order": (
        (*EACH[:2], ONE, OTHER, {"kind": "stack", "from": ("s0", "s1")}, linear("out", 3)),
        2,
        False,
    ),
    "attention beside": (inside({"kind": "attention", "heads": 2}, TANH | {"name": "t"}), 5, False),
}


@pytest.mark.parametrize("case", ROWS)
def test_tokens_have_rows_of_their_own_where_those_above_are_others(case: str) -> None:
    """That there are as many is not enough."""
    layers, count, own = ROWS[case]
    (route,) = lowered(tokens(layers, {"to": "fc1", "matrix": RANDOM}, shape=(count, 4))).routes
    assert route.ends is not None
    assert (route.ends.places, route.tensors[0].shape) == (
        (1, (6 * count, 3 * count)) if own else (count, (6, 3))
    )


def test_of_what_a_stack_is_made_the_mask_says_its_place() -> None:
    """The last step counts where the loss counts its place; on those before the later ones depend."""
    counted = lowered(spec(BY_HAND, DFA, {"mask": "m"})).counted
    assert counted["r"] == Counted("m")
    assert counted[f"r.{T - 1}.hh"] == Counted("m", at=T - 1)
    assert "r.0.hh" not in counted
