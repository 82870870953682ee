"""FAC328: what keeps the probe `conservation` from measuring a law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fac.checks.places import listed
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.probes.conservation import Conservation
from fac.program.balance import Balance, Why, balances
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.tensors import Role, Tensor

CONSERVATION_VOIDED = Rule("FAC328", "conservation-voided", Severity.WARNING)

CAUSES = {
    Why.NOT_HOMOGENEOUS: ("{} is not positively homogeneous", "{} are not positively homogeneous"),
    Why.NO_PRODUCT: (
        "{} reads its weight in another way than by one product",
        "{} read their weights in another way than by one product",
    ),
    Why.READ_TWICE: ("{} has several readers", "{} have several readers each"),
    Why.JOINED: ("{} joins several layers", "{} join several layers each"),
    Why.SEVERAL_ERRORS: ("several errors arrive at {}", "several errors arrive at each of {}"),
    Why.UNKNOWN_MATRIX: (
        "the operator {} does not say its matrix",
        "the operators {} do not say their matrices",
    ),
    Why.SHARED: ("{} shares its parameters", "{} share their parameters"),
    Why.DIRECT: ("no weight follows an error that comes directly from {}",) * 2,
    Why.SIGNS: ("no weight follows the signs of {}",) * 2,
    Why.MOVES: ("the feedback above moves by {}",) * 2,
    Why.FROZEN: ("{} is frozen", "{} are frozen"),
}
"""What is told of one that is to blame, and of several."""

HELPS = {
    Why.NOT_HOMOGENEOUS: "put `relu` or `leaky_relu` between layers with weights, or remove the probe",
    Why.NO_PRODUCT: "it compares a layer with the weight past which its error comes; remove the probe, or the layer",
    Why.READ_TWICE: "it compares a layer with the only one that reads it; remove the probe if that is not meant",
    Why.JOINED: "it compares a layer with the only one that reads it; remove the probe if that is not meant",
    Why.SEVERAL_ERRORS: "keep one route there and no loss of its own, or remove the probe",
    Why.UNKNOWN_MATRIX: "the plug-in has to declare the `matrix` of its kind",
    Why.SHARED: "it compares the gradients of two layers, and these learn from others as well; remove the probe",
    Why.DIRECT: "`balance` is measured; `kolen_pollack` on the route would conserve something",
    Why.SIGNS: "`balance` is measured; `kolen_pollack` on the route would conserve something",
    Why.MOVES: "`balance` is measured; a fixed matrix, or `kolen_pollack`, would conserve something",
    Why.FROZEN: "`balance` is measured; something is conserved only if both layers learn",
}

BALANCED = (Why.DIRECT, Why.SIGNS, Why.MOVES, Why.FROZEN)
"""Where one of the two laws holds."""

Law = tuple[str, Tensor | None, Route | None]
"""See `_law`."""


def conservation_voided(program: Program) -> Iterator[Diagnostic]:
    """The probe `conservation` is asked for, and at some layer a law that it measures does not hold.

    It measures two. `balance`: the gradients of a hidden layer and of the one above satisfy
    `<W, G> + <b, g> = <B^T, G'>` on every batch, whatever the update does and whatever the feedback matrix B is. That
    is Euler's theorem, so it wants positively homogeneous layers (`relu`, `leaky_relu`, `dropout`, `flatten`)
    between a layer and the one that reads it, and one error that comes down: beside a `tanh`, a normalisation, a join,
    a second route or a loss of the layer itself the two sides have nothing to do with each other, and nothing is
    measured. Tokens are summed over, and an `embedding` is a layer that reads vectors with a single 1. What layers
    share by `tie` learns from several of them, and what a layer adds to tokens, such as places, is in no weight.

    `conserved`: then `|W|^2 / 2 + |b|^2 / 2 - <B^T, W'>` stays what it is, up to `lr^2 / 2 (|G|^2 + |g|^2)` per step.
    That also wants a B that is fixed or learns by `kolen_pollack`, and plain SGD at one rate. Under Adam, weight decay
    (also that by which Kolen-Pollack feedback aligns) or clipping by value each step moves it by as much as the rate,
    under momentum by the square of the rate but hundreds of times more than in plain SGD: a drift proves nothing.
    Clipping by norm and schedules do no harm: they change one rate for all. Steps of `train.anchor` move it by as much
    as the rate, because their errors come another way.

    Bad, where `balance` holds and `conserved` drifts:

        feedback: {rule: fa}
        update: {rule: adam, lr: 0.001}
        probes: [{kind: conservation}]

    Bad, where neither holds at `fc1`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: tanh}
          - {kind: linear, name: fc2, out: 16}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        probes: [{kind: conservation}]

    Good:

        feedback: {rule: fa}
        update: {rule: sgd, lr: 0.1}
        probes: [{kind: conservation}]

    See arXiv 2306.01870.
    """
    probes = program.spec.probes or ()
    place = next((i for i, probe in enumerate(probes) if isinstance(probe, Conservation)), None)
    if place is None:
        return
    path = "probes", place, "kind"
    found = list(balances(program))
    yield from _void(path, found)
    yield from _drifting(path, program, found)


def _void(path: Path, found: list[Balance]) -> Iterator[Diagnostic]:
    """One finding for each reason why something is not measured."""
    for why, (one, several) in CAUSES.items():
        layers: list[str] = []
        names: dict[str, None] = {}
        for balance in found:
            for reason in (*balance.faults, *filter(None, (balance.void,))):
                if reason.why is why:
                    layers.append(balance.node.name)
                    names |= dict.fromkeys(reason.names)
        if layers:
            cause = (one if len(names) == 1 else several).format(listed(names))
            what = "nothing is conserved" if why in BALANCED else "`conservation` measures nothing"
            yield CONSERVATION_VOIDED.at(path, f"{what} at {listed(layers)}: {cause}", help=HELPS[why])


def _drifting(path: Path, program: Program, found: list[Balance]) -> Iterator[Diagnostic]:
    """One finding for each kind of step that does not conserve."""
    drifting: dict[str, list[str]] = {}
    others = _anchored(program)
    for balance in found:
        causes = _causes(program, balance)
        if balance.partner is not None and others is not None and _law(balance) not in others:
            causes["anchors by another rule"] = None
        for cause in causes:
            drifting.setdefault(cause, []).append(balance.node.name)
    for cause, layers in drifting.items():
        yield CONSERVATION_VOIDED.at(
            path,
            f"`conserved` drifts at {listed(layers)} because of {cause}",
            help="`balance` holds under every update; `conserved` wants plain `sgd`, with one rate for all, "
            "and no anchor",
        )


def _anchored(program: Program) -> list[Law] | None:
    """What the steps of `train.anchor` conserve; None where there are none."""
    other = program.anchored
    return None if other is None else [_law(balance) for balance in balances(other) if balance.partner]


def _law(balance: Balance) -> Law:
    """Of which layer, against what, and by which route, wherever that is written."""
    route = None if balance.route is None else replace(balance.route, origin=())
    return balance.node.name, balance.partner, route


def _causes(program: Program, balance: Balance) -> dict[str, None]:
    """What of the update lets the conserved quantity of a layer drift."""
    if balance.partner is None:
        return {}
    from fac.build.updating import plan  # few specs need it

    plans = [plan(program, tensor) for tensor in (*balance.node.tensors, balance.partner)]
    causes: dict[str, None] = {}
    for each in plans:
        kind = kind_of("fac.updates", each.rule)
        descent = kind.descent(each.rule)
        if descent is None:
            causes[f"`{kind.name}`"] = None
            continue
        if descent.momentum:
            causes["momentum"] = None
        if kind.decay(each.rule):
            causes["weight decay"] = None
    if len({each.lr_ratio for each in plans}) > 1:
        causes["unequal learning rates"] = None
    if any(each.keep is not None for each in plans):
        causes["gradients of which `keep` leaves out some"] = None
    if any(not t.trainable and t.init != "zeros" for t in balance.node.tensors if t.role is Role.PARAMETER):
        causes["parameters that stay"] = None
    clip = program.update.clip
    if clip is not None and clip.by == "value":
        causes["clipping by value"] = None
    return causes
