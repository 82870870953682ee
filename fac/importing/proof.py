"""The proof that an imported network computes what the module does: outputs, averages and gradients, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fac import pipeline, plugins
from fac.backend import Array, Module
from fac.diagnostics import FacError

SAMPLES = 4
"""Of the random batch; another number than that of the trace, so that nothing can depend on it."""
BOUND = 1e-10
"""The deviation that is rounding, relative to the largest number of the same sort."""
RATE = 2.0**20
"""By which a gradient is stepped along, so that the weight it moves hides none of its digits."""
TARGETS = 7, 8
"""Seeds of what is random."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far two sides are apart."""

    largest: float
    """The largest absolute difference."""
    reach: float
    """The largest absolute number of the module's side."""

    @property
    def share(self) -> float:
        """Of that number; NaN if either side has one."""
        return self.largest / (self.reach or 1.0)

    @property
    def close(self) -> bool:
        """Whether it is rounding."""
        return self.share <= BOUND


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared, each on the same random batch."""

    evaluation: Deviation
    training: Deviation
    """Root mean square of the outputs, with what is random left out."""
    gradients: Deviation
    averages: Deviation | None
    """Of normalisations, after a step; None if there are none."""
    parameters: int
    """How many gradients were compared."""
    samples: int
    worst: str
    """The parameter whose gradients lie farthest apart."""

    @property
    def parts(self) -> Mapping[str, Deviation]:
        """By what is compared."""
        found = {"evaluation": self.evaluation, "training": self.training, "gradients": self.gradients}
        return found if self.averages is None else found | {"averages": self.averages}

    def require(self) -> None:
        """Refuse a network that is not the module.

        Raises:
            FacError: naming what differs, and by how much.
        """
        for name, part in self.parts.items():
            if not part.close:
                of = f" of `{self.worst}`" if name == "gradients" else ""
                raise FacError(
                    f"nothing is written: in {name} the network{of} deviates from the module by {part.largest:.2g} "
                    f"where that reaches {part.reach:.3g}, which is no rounding"
                )


def proved(
    spec: Mapping[str, Any], state: Mapping[str, Array], keys: Mapping[str, str], module: Module
) -> Proof:
    """Compare, by backpropagation whatever the feedback of the spec.

    Args:
        spec: with one input; what is random in it is left out here.
        state: parameters and statistics of the layers.
        keys: for each of these what the module calls it.
        module: the other side.
    """
    artifact = pipeline.compile(_tested(spec), "torch", "float64")
    session, wide = (
        artifact.open(state, "cpu", derive=True),
        {k: np.asarray(v, np.float64) for k, v in state.items()},
    )
    x = _batch(spec["input"])
    still = module.run(x, False)
    evaluation = _deviation(session.forward(x), still.output)
    moved = module.run(x, True)
    # The loss of a network whose target is the module's output is the mean square of what lies between them.
    loss = float(session.step(x, moved.output, lr=0.0)["loss"])
    training = Deviation(float(np.sqrt(loss)), _reach(moved.output))
    after = session.state()
    averages = [
        (after[name], moved.state[key]) for name, key in keys.items() if key in moved.state and name in after
    ]
    session.load_state(wide, derive=True)
    target = np.random.default_rng(TARGETS[1]).standard_normal(moved.output.shape) * (
        _reach(moved.output) or 1.0
    )
    theirs = module.run(x, True, target).gradients
    session.step(x, target, lr=RATE)
    after = session.state()
    pairs = {
        key: ((wide[name] - after[name]) / RATE, theirs[key]) for name, key in keys.items() if key in theirs
    }
    apart = {key: float(np.abs(a - b).max(initial=0.0)) for key, (a, b) in pairs.items()}
    worst = max(apart, key=lambda key: (np.isnan(apart[key]), apart[key]), default="")
    reach = max((_reach(b) for _, b in pairs.values()), default=0.0)
    found = Deviation(apart.get(worst, 0.0), reach)
    between = _joined(averages)
    return Proof(evaluation, training, found, between, len(pairs), SAMPLES, worst)


def _tested(spec: Mapping[str, Any]) -> dict[str, Any]:
    random = frozenset(kind.name for kind in plugins.kinds("fac.layers") if "rate" in kind.spec.model_fields)
    return {
        **spec,
        "layers": list(_certain(spec["layers"], random)),
        "loss": {"kind": "mse"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 1.0},
        "train": {"batch": SAMPLES},
        "probes": [],
    }


def _certain(layers: Sequence[Mapping[str, Any]], random: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    """The layers, in blocks too, with a rate of 0 in those that draw."""
    for layer in layers:
        if "body" in layer:
            yield {**layer, "body": list(_certain(layer["body"], random))}
        else:
            yield {**layer, "rate": 0.0} if layer["kind"] in random else layer


def _batch(given: Mapping[str, Any]) -> Array:
    draw, size = np.random.default_rng(TARGETS[0]), (SAMPLES, *given["shape"])
    return draw.integers(given["classes"], size=size) if "classes" in given else draw.standard_normal(size)


def _reach(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _deviation(ours: Array, theirs: Array) -> Deviation:
    return Deviation(_reach(ours - theirs), _reach(theirs))


def _joined(pairs: list[tuple[Array, Array]]) -> Deviation | None:
    if not pairs:
        return None
    return Deviation(max(_reach(a - b) for a, b in pairs), max(_reach(b) for _, b in pairs))
