"""A small network for tests of single checks, and what is found in it."""

from __future__ import annotations

from typing import Any

from fac.checks import run_checks
from fac.diagnostics import Diagnostic, dotted
from fac.program.lower import lower
from fac.spec.model import ModelSpec

Layers = tuple[dict[str, Any], ...]

NET: Layers = (
    {"kind": "linear", "name": "fc1", "out": 8},
    {"kind": "relu"},
    {"kind": "linear", "name": "fc2", "out": 8},
    {"kind": "relu"},
    {"kind": "linear", "name": "logits", "out": 4},
)
RANDOM = {"kind": "random"}
SGD = {"rule": "sgd", "lr": 0.1}
KP = {"rule": "kolen_pollack"}


def diagnosed(layers: Layers = NET, **sections: Any) -> tuple[Diagnostic, ...]:
    """Every finding of a spec whose other sections have defaults."""
    base = {
        "fac": 1,
        "name": "example",
        "input": {"shape": (6,)},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "update": SGD,
    }
    return run_checks(lower(ModelSpec.model_validate(base | sections)))


def found(layers: Layers = NET, **sections: Any) -> list[tuple[str, str]]:
    """Code and place of every finding."""
    return [(d.rule.code, dotted(d.path)) for d in diagnosed(layers, **sections)]


def routes(*written: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A `feedback:` section with these routes, through random matrices if they name no other."""
    return {"routes": tuple({"matrix": RANDOM} | route for route in written)} | more


def linear(name: str, out: int = 8, **fields: Any) -> dict[str, Any]:
    """A linear layer."""
    return {"kind": "linear", "name": name, "out": out} | fields


def chain(*widths: int, act: str | None = "relu", classes: int = 4, **fields: Any) -> Layers:
    """Hidden layers `fc1`, `fc2`, ... with an activation behind each, and `logits`."""
    layers: list[dict[str, Any]] = []
    for number, width in enumerate(widths, 1):
        layers.append(linear(f"fc{number}", width, **fields))
        layers += [{"kind": act}] if act else []
    return (*layers, linear("logits", classes, **fields))
