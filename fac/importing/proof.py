"""The proof that an imported network computes what the module does: outputs, gradients and averages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fac import pipeline, plugins
from fac.backend import Array, Held, Module, Precision
from fac.diagnostics import FacError
from fac.importing.bound import Bound

SAMPLES = 4
"""Of the random batch; another number than that of the trace, so that nothing can depend on it."""
BOUNDS: Mapping[Precision, float] = {"float64": 1e-10, "float32": 1e-5}
"""The deviation that is rounding, relative to the largest number of the same sort, by what the module runs in."""
RATE = 2.0**20
"""By which a gradient is stepped along, so that the weight it moves hides none of its digits."""
TARGETS = 7, 8
SHAKEN = 9
"""Seeds of what is random."""
RANDOM = "rate", "dropout"
"""What layers call the probability with which they drop."""
SHARE, SMALL = 0.1, 0.2
"""How far parameters are moved, as a share of their root mean square, and what that is taken for where all are zero."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far two sides are apart."""

    largest: float
    """The largest absolute difference."""
    reach: float
    """The largest absolute number of the module's side."""
    bound: float = BOUNDS["float64"]
    """Of what is rounding, as a share of that."""

    @property
    def share(self) -> float:
        """Of that number; NaN if either side has one."""
        return self.largest / (self.reach or 1.0)

    @property
    def close(self) -> bool:
        """Whether it is rounding."""
        return self.share <= self.bound


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared, each on the same random batch."""

    evaluation: Deviation
    training: Deviation | None = None
    """Root mean square of the outputs, with what is random left out; None of a module that does not learn."""
    gradients: Deviation | None = None
    averages: Deviation | None = None
    """Of normalisations, after a step; None if there are none."""
    parameters: int = 0
    """How many gradients were compared."""
    samples: int = SAMPLES
    worst: str = ""
    """The parameter whose gradients lie farthest apart."""
    precision: Precision = "float64"
    """In which the module ran. The network ran in float64."""

    @property
    def parts(self) -> Mapping[str, Deviation]:
        """By what is compared."""
        found = {
            "evaluation": self.evaluation,
            "training": self.training,
            "gradients": self.gradients,
            "averages": self.averages,
        }
        return {name: part for name, part in found.items() if part is not None}

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
    spec: Mapping[str, Any], state: Mapping[str, Array], arrays: Mapping[str, Bound], module: Module
) -> Proof:
    """Compare, by backpropagation whatever the feedback of the spec.

    A module that does not learn is compared with the reference backend, in evaluation alone.

    Parameters are moved a little first, on both sides alike: those that begin at zero, as the last layers of some
    networks do, would hide all that stands below.

    Args:
        spec: with one input; what is random in it is left out here.
        state: parameters and statistics of the layers.
        arrays: for each of these what it is in the module.
        module: the other side.
    """
    wide = {
        name: _shaken(name, array, arrays[name].held).astype(module.precision).astype(np.float64)
        for name, array in state.items()
    }
    theirs = {arrays[name].held.key: arrays[name].given(array) for name, array in wide.items()}
    backend = "reference" if module.training is None else "torch"
    session = pipeline.compile(_tested(spec), backend, "float64").open(wide, "cpu", derive=True)
    x = _batch(spec["input"])
    if "classes" not in spec["input"]:
        x = x.astype(module.precision).astype(np.float64)
    still = module.run(theirs, x, False)
    evaluation = _deviation(session.forward(x), still.output, BOUNDS[module.precision])
    if module.training is None:
        return Proof(evaluation, precision=module.precision)
    moved = module.run(theirs, x, True)
    # The loss of a network whose target is the module's output is the mean square of what lies between them.
    loss = float(session.step(x, moved.output, lr=0.0)["loss"])
    training = Deviation(float(np.sqrt(loss)), _reach(moved.output))
    after = session.state()
    averages = [
        (after[name], array.taken(moved.state[array.held.key]))
        for name, array in arrays.items()
        if array.held.key in moved.state
    ]
    session.load_state(wide, derive=True)
    draw = np.random.default_rng(TARGETS[1])
    target = draw.standard_normal(moved.output.shape) * (_reach(moved.output) or 1.0)
    wanted = module.run(theirs, x, True, target).gradients
    session.step(x, target, lr=RATE)
    after = session.state()
    pairs = {
        array.held.key: ((wide[name] - after[name]) / RATE, array.taken(wanted[array.held.key]))
        for name, array in arrays.items()
        if array.held.key in wanted
    }
    apart = {key: float(np.abs(a - b).max(initial=0.0)) for key, (a, b) in pairs.items()}
    worst = max(apart, key=lambda key: (np.isnan(apart[key]), apart[key]), default="")
    reach = max((_reach(b) for _, b in pairs.values()), default=0.0)
    gradients = Deviation(apart.get(worst, 0.0), reach)
    return Proof(evaluation, training, gradients, _joined(averages), len(pairs), SAMPLES, worst)


def _shaken(name: str, array: Array, held: Held) -> Array:
    """A parameter, in float64, and a tenth of its size of noise; statistics as they are, as variances are positive."""
    wide = np.asarray(array, np.float64)
    if held.statistic:
        return wide
    size = float(np.sqrt(np.mean(wide**2))) or SMALL
    draw = np.random.default_rng([SHAKEN, *name.encode()])
    moved = wide + SHARE * size * draw.standard_normal(wide.shape)
    if wide.ndim == 2 and wide.any():
        # a row of zeros among others stands for something, such as what fills a table up
        moved[~wide.any(1)] = 0.0
    return moved


def _tested(spec: Mapping[str, Any]) -> dict[str, Any]:
    random = {
        kind.name: {field: 0.0 for field in RANDOM if field in kind.spec.model_fields}
        for kind in plugins.kinds("fac.layers")
    }
    return {
        **spec,
        "layers": list(_certain(spec["layers"], random)),
        "loss": {"kind": "mse"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 1.0},
        "train": {"batch": SAMPLES},
        "probes": [],
    }


def _certain(
    layers: Sequence[Mapping[str, Any]], random: Mapping[str, Mapping[str, float]]
) -> Iterator[Mapping[str, Any]]:
    """The layers, in blocks too, with a probability of 0 in those that draw."""
    for layer in layers:
        if "body" in layer:
            yield {**layer, "body": list(_certain(layer["body"], random))}
        else:
            yield {**layer, **random[layer["kind"]]}


def _batch(given: Mapping[str, Any]) -> Array:
    draw, size = np.random.default_rng(TARGETS[0]), (SAMPLES, *given["shape"])
    return draw.integers(given["classes"], size=size) if "classes" in given else draw.standard_normal(size)


def _reach(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _deviation(ours: Array, theirs: Array, bound: float) -> Deviation:
    return Deviation(_reach(ours - theirs), _reach(theirs), bound)


def _joined(pairs: list[tuple[Array, Array]]) -> Deviation | None:
    if not pairs:
        return None
    return Deviation(max(_reach(a - b) for a, b in pairs), max(_reach(b) for _, b in pairs))
