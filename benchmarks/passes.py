"""What each pass saves: a step without it against the step by all passes, on networks of several kinds.

A new pass is measured by itself: on each network whose step it changes. The table has the one that gains most.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, one_thread, quartiles, ratios, rounds, table
from fac.backend import Artifact
from fac.build.disabling import passes_of
from fac.pipeline import compiled, emit, find_backend, lowered
from fac.testing.nets import RELU, Data, conv2d, linear, mlp, spec
from fac_torch.emit import Emitter

RESULT = Path(__file__).parent / "results" / "passes.json"
ROUNDS = 15
BATCH = 64
MOMENTUM: Data = {"rule": "sgd", "lr": 0.01, "momentum": 0.9}
POOL: Data = {"kind": "max_pool2d", "kernel": 2}
LORA: Data = {"kind": "lora", "rank": 8}
TOKENS, WIDTH, WORDS = 32, 64, 50
NETS: dict[str, Data] = {
    "ldfa": spec(mlp(512, 512, 10), {"rule": "ldfa", "rank": 10}, MOMENTUM, shape=(784,)),
    "bp, AdamW": spec(mlp(512, 512, 10), {"rule": "bp"}, {"rule": "adamw", "lr": 0.001}, shape=(784,)),
    "100 layers, Adam": spec(mlp(*[64] * 99, 10), {"rule": "bp"}, {"rule": "adam", "lr": 1e-4}, shape=(784,)),
    "dropout": spec(
        (linear("fc1", 512), RELU, {"kind": "dropout", "rate": 0.5}, linear("out", 10)),
        {"rule": "bp"},
        MOMENTUM,
        shape=(256,),
    ),
    "convolutions": spec(
        (
            conv2d("c1", 32, 3, padding=1),
            RELU,
            POOL,
            conv2d("c2", 64, 3, padding=1),
            {"kind": "batch_norm", "name": "norm"},
            RELU,
            POOL,
            {"kind": "flatten"},
            linear("out", 10),
        ),
        {"rule": "ldfa", "rank": 16},
        MOMENTUM,
        shape=(3, 32, 32),
    ),
    "attention": spec(
        (
            {"kind": "embedding", "name": "words", "num_embeddings": WORDS, "out": WIDTH},
            {"kind": "attention", "name": "look", "heads": 4, "causal": True},
            {"kind": "layer_norm", "name": "norm"},
            {"kind": "flatten"},
            linear("out", 10),
        ),
        {"rule": "bp"},
        MOMENTUM,
        input={"shape": [TOKENS], "classes": WORDS},
    ),
    "recurrence": spec(
        ({"kind": "gru", "name": "state", "out": 64}, linear("out", 10)),
        {"rule": "bp"},
        MOMENTUM,
        shape=(16, 32),
    ),
    "adapters": spec(
        (linear("fc1", 512, adapter=LORA), RELU, linear("fc2", 512, adapter=LORA), RELU, linear("out", 10)),
        {"rule": "fa"},
        MOMENTUM,
        shape=(512,),
    ),
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a pass saves on one network."""

    net: str
    ratios: tuple[float, float, float]
    """Of the time without it to that by all: the median within rounds, and the range of the middle half."""
    workspace: float | None
    """Of the bytes of the workspace likewise, in torch."""


def running(artifact: Artifact) -> Callable[[], object]:
    """One step on a batch that is there, at a rate of 0, so that the state stays where it is."""
    session, (feed,), rng = artifact.open(device="cpu"), artifact.compiled.inputs, np.random.default_rng(0)
    shape = (BATCH, *feed.shape)
    x = rng.standard_normal(shape) if feed.classes is None else rng.integers(0, feed.classes, shape)
    placed = session.place(x.astype("float32" if feed.classes is None else "int64"))
    labels = session.place(rng.integers(0, 10, BATCH))
    return lambda: float(session.step(placed, labels, 0.0)["loss"])


def workspace(artifact: Artifact) -> int:
    """Numbers in the buffers of a torch step."""
    layout = Emitter(artifact.compiled.step, True, artifact.compiled.disabled).layout
    return sum(numbers * (BATCH if batched else 1) for numbers, batched in layout.slots)


def measured(backend: str) -> dict[str, list[Saved]]:
    """By pass, on each network that it changes."""
    of = find_backend(backend)
    found: dict[str, list[Saved]] = {step.name: [] for step in passes_of(of)}
    for name, data in NETS.items():
        program = lowered(data)
        whole = emit(program, of, made=compiled(program))
        text, contenders, rooms = whole.listing(), {"all": running(whole)}, {"all": 0}
        rooms["all"] = workspace(whole) if backend == "torch" else 0
        for step in found:
            made = emit(replace(program, disabled=frozenset({step})), of)
            if made.listing() != text:
                contenders[step] = running(made)
                rooms[step] = workspace(made) if backend == "torch" else 0
        seconds = rounds(contenders, ROUNDS)
        for step in contenders.keys() - {"all"}:
            each = ratios(seconds[step], seconds["all"])
            room = rooms[step] / rooms["all"] if rooms["all"] else None
            found[step].append(Saved(name, (float(np.median(each)), *quartiles(each)), room))
    return found


def rows(backend: str, found: dict[str, list[Saved]]) -> list[tuple[str, ...]]:
    """One for each pass, with the network on which it saves most time."""
    made: list[tuple[str, ...]] = []
    for name, saved in found.items():
        if not saved:
            made.append((f"`{name}`", backend, "none of these", "", "", ""))
            continue
        best = max(saved, key=lambda one: one.ratios[0])
        middle, low, high = best.ratios
        room = max((one.workspace or 1.0 for one in saved), default=1.0)
        made.append(
            (f"`{name}`", backend, best.net, f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{room:.2f}")
        )
    return made


def main() -> None:
    """Measure and print."""
    one_thread()
    everything: dict[str, Any] = {"machine": machine("onnxruntime"), "batch": BATCH, "rounds": ROUNDS}
    printed: list[tuple[str, ...]] = []
    for backend in ("torch", "onnx"):
        found = measured(backend)
        printed += rows(backend, found)
        everything[backend] = {
            name: {one.net: {"time": one.ratios, "workspace": one.workspace} for one in saved}
            for name, saved in found.items()
        }
    RESULT.write_text(json.dumps(everything, indent=1) + "\n")
    print(
        table(
            ("pass", "backend", "network", "time without it", "middle half", "workspace without it"), printed
        )
    )


if __name__ == "__main__":
    main()
