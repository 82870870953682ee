"""Time of one training step by onnxruntime: the session, the bare graph, a graph made by hand, and torch.

784-1024-1024-10, ReLU, batch 128, float32, one thread, process CPU time, with SGD, SGD with momentum and Adam. Two
targets: a step of the session costs at most 5 % more than its graph with nothing around it, and at most 10 % more than
a graph that a person wrote for this one network. Before it is timed, the emitted graph is checked against that one.

    python -m benchmarks.onnx_step                    # and evaluation, dropout, probes, compile time, memory
    python -m benchmarks.onnx_step --rounds 8
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import fac
from benchmarks import onnx_cost
from benchmarks.eager import DEFAULT, SAME, Eager, Optimiser, batch
from benchmarks.machine import machine, one_thread, quartiles, ratio, ratios, rounds, table
from benchmarks.onnx_bare import PingPong
from benchmarks.onnx_hand import hand_made
from benchmarks.onnx_spec import LR, MOMENTUM, RULES, UPDATES, mlp
from fac.backend import Session
from fac_onnx.artifact import OnnxArtifact

RESULTS = Path(__file__).parent / "results" / "onnx_step.json"
STEPS, SITTINGS = 4, 4
"""How many steps in a row; how often everything is built anew, because where memory lies is worth 2 %."""
OPTIMISERS: dict[str, Optimiser] = {
    "sgd": partial(torch.optim.SGD, lr=LR),
    "momentum": partial(torch.optim.SGD, lr=LR, momentum=MOMENTUM),
    "adam": partial(torch.optim.Adam, lr=LR),
}
SESSION, BARE, HAND = "onnx bp", "its graph, bare", "graph made by hand, bare"
TARGETS = {BARE: 1.05, HAND: 1.10}
COMPILE_TARGET = 300
CHECKED_STEPS, CHECKED_LR = 3, {"sgd": 0.1, "momentum": 0.1, "adam": 0.001}
TOLERANCE = {"sgd": 1e-5, "momentum": 1e-5, "adam": 1e-3}
"""In float32, relative to the largest entry of a tensor; Adam's g / |g| amplifies a rounding of g."""
Contenders = Mapping[str, Callable[[], object]]
Times = dict[str, list[float]]


def opened(backend: str, spec: dict[str, Any]) -> Session:
    """A session on the CPU, in float32."""
    return fac.compile(spec, backend=backend, precision="float32").open(device="cpu")


def graph(spec: dict[str, Any], lr: float = LR, content: bytes | None = None) -> PingPong:
    """The emitted step with nothing around it, or another one on the same state and batch."""
    artifact = fac.compile(spec, backend="onnx", precision="float32")
    assert isinstance(artifact, OnnxArtifact)
    c, (x, y) = artifact.compiled, batch()
    fixed = {"x": x, "y": y, "lr": np.array(lr, np.float32), "step": np.array(0)}
    return PingPong(content or artifact.content(c.step), c.initial(), fixed)


def check(update: str) -> float:
    """Largest relative difference of the loss or a state between the emitted graph and the one made by hand.

    Raises:
        AssertionError: it is too large for rounding.
    """
    bare = graph(mlp(update), CHECKED_LR[update])
    hand = graph(mlp(update), CHECKED_LR[update], hand_made(update))
    for step in range(CHECKED_STEPS):
        for one in (bare, hand):
            one.fixed["step"][...] = step
            one.step()
    expected, found = ({**one.state(), "loss": one.loss} for one in (bare, hand))
    errors = [np.abs(found[k] - v).max() / np.abs(v).max() for k, v in expected.items()]
    assert max(errors) < TOLERANCE[update], f"{update}: {max(errors):.1e}"
    return float(max(errors))


def contenders(update: str) -> Contenders:
    """One step of each."""
    x, y = batch()
    sessions = {
        f"{backend} {rule}": opened(backend, mlp(update, feedback=feedback))
        for rule, feedback in RULES.items()
        for backend in ("torch", "onnx")
    }
    like = sessions["torch bp"]
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    found: dict[str, Callable[[], object]] = {}
    for name, flags in ((DEFAULT, "highest"), (SAME, like.matmul)):  # type: ignore[attr-defined]
        found[name] = partial(Eager(like.state(), OPTIMISERS[update], flags).step, *tensors)
    found |= {BARE: graph(mlp(update)).step, HAND: graph(mlp(update), content=hand_made(update)).step}
    return found | {name: stepping(session) for name, session in sessions.items()}


def stepping(session: Session) -> Callable[[], object]:
    """A step on placed data, as the trainer calls it."""
    x, y = batch()
    return partial(session.step, session.place(x), session.place(y))


def others() -> Contenders:
    """What else sessions do; onnxruntime has no fast form of a hash, nor of a factorization."""
    x, y = batch()
    rng = np.random.default_rng(0)
    many = rng.standard_normal((10_000, 784), dtype=np.float32), rng.integers(0, 10, 10_000)
    routes = {"routes": [{"through": "fc2", "matrix": {"kind": "low_rank", "rank": 64}}]}
    probed = mlp("sgd", (512, 512), routes, probes=[{"kind": "captured_energy"}])
    found: dict[str, Callable[[], object]] = {}
    for backend in ("torch", "onnx"):
        plain, probing = opened(backend, mlp("sgd")), opened(backend, probed)
        found[f"{backend} step"] = stepping(plain)
        found[f"{backend} step with dropout"] = stepping(opened(backend, mlp("sgd", dropout=0.5)))
        found[f"{backend} evaluation of 10,000"] = partial(plain.evaluate, *(plain.place(a) for a in many))
        found[f"{backend} captured energy"] = partial(probing.probe, plain.place(x), plain.place(y))
    return found


def small() -> Contenders:
    """A network that costs next to nothing, which leaves what a session adds to each step."""
    spec = mlp("adam", (16,))
    return {SESSION: stepping(opened("onnx", spec)), BARE: graph(spec).step}


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    """Some steps in a row, as in training: one alone would find the weights out of the cache."""

    def turn() -> None:
        for _ in range(times):
            call()

    return turn


def measure(build: Callable[[], Contenders], times: int, count: int) -> Times:
    """Milliseconds per call, by contender and round."""
    found: Times = {}
    for _ in range(SITTINGS):
        calls = {name: repeated(call, times) for name, call in build().items()}
        for name, seconds in rounds(calls, count).items():
            found.setdefault(name, []).extend(round(1000 * s / times, 4) for s in seconds)
    return found


def step_table(times: dict[str, Times]) -> str:
    """Milliseconds per step with each update, and how many times faster than eager torch."""
    head = ["contender", *(f"{u} ms" for u in UPDATES)]
    head += [f"{u}, {flags}" for flags in ("default", "same") for u in UPDATES]
    lines = []
    for name in times["sgd"]:
        each = [f"{median(times[u][name]):.2f}" for u in UPDATES]
        gains = [ratio(times[u][base], times[u][name]) for base in (DEFAULT, SAME) for u in UPDATES]
        lines.append((name, *each, *(f"{gain:.2f}" for gain in gains)))
    return table(head, lines)


def target_table(times: dict[str, Times]) -> str:
    """The session's time over that of bare graphs."""
    lines = []
    for base, target in TARGETS.items():
        for update, found in times.items():
            over = ratios(found[SESSION], found[base])
            low, high = quartiles(over)
            met = "yes" if median(over) <= target else "**no**"
            lines.append(
                (
                    f"{base}, {update}",
                    f"{median(over):.3f}",
                    f"{low:.3f} to {high:.3f}",
                    f"{target:.2f}: {met}",
                )
            )
    return table((f"{SESSION} over", "ratio", "middle half", "at most"), lines)


def other_table(times: Times) -> str:
    """Milliseconds on both backends, and their ratio."""
    names = [name.removeprefix("onnx ") for name in times if name.startswith("onnx ")]
    pairs = {name: (times[f"torch {name}"], times[f"onnx {name}"]) for name in names}
    lines = [(n, f"{median(t):.1f}", f"{median(o):.1f}", f"{ratio(o, t):.2f}") for n, (t, o) in pairs.items()]
    return table(("call", "torch ms", "onnx ms", "onnx / torch"), lines)


def cost_lines(costs: dict[str, list[dict[str, Any]]]) -> str:
    """Compile time and memory, in words."""
    found = costs["compile"]
    first = median(one["compile"][0] for one in found)
    later = median(ms for one in found for ms in one["compile"][1:])
    imports = median(one["imports"] for one in found)
    met = "yes" if first < COMPILE_TARGET else "**no**"
    lines = [
        f"four layers to all four models: {first:.0f} ms at first, {later:.0f} ms later, after imports of "
        f"{imports:.0f} ms; less than {COMPILE_TARGET}: {met}"
    ]
    for backend in ("onnx", "torch"):
        mib = {key: median(one[key] for one in costs[backend]) for key in ("imports", "opened", "trained")}
        lines.append(
            f"peak memory of training with Adam, {backend}: {mib['trained']:.0f} MiB, {mib['opened']:.0f} of them to "
            f"open the session, above {mib['imports']:.0f} by imports"
        )
    return "\n\n".join(lines)


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=12, help=f"in each of {SITTINGS} sittings")
    count = parser.parse_args().rounds
    one_thread()
    errors = ", ".join(f"{update} {check(update):.0e}" for update in UPDATES)
    print(f"emitted against made by hand, {CHECKED_STEPS} steps, largest relative difference: {errors}\n")
    times = {update: measure(partial(contenders, update), STEPS, count) for update in UPDATES}
    print(f"ms per step, and times faster than eager torch\n\n{step_table(times)}\n\n{target_table(times)}\n")
    tiny = measure(small, 50 * STEPS, count)
    added = median(1000 * (a - b) for a, b in zip(tiny[SESSION], tiny[BARE], strict=True))
    print(
        f"a session adds {added:.0f} µs to a step of 784-16-10, which takes {1000 * median(tiny[BARE]):.0f}\n"
    )
    other = measure(others, 1, count)
    print(f"{other_table(other)}\n")
    costs = {kind: onnx_cost.processes(kind) for kind in ("compile", "onnx", "torch")}
    print(f"{cost_lines(costs)}\n")
    about = machine("onnx", "onnxruntime")
    print(json.dumps(about))
    results = {"machine": about, "milliseconds": times, "small": tiny, "others": other, "costs": costs}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
