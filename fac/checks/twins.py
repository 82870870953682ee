"""FAC317, FAC318: feedback matrices that take the step of the weight that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fac.checks.errors import dead
from fac.checks.places import by_origin, decides, fed, learning_of, listed, stated, wired
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.flow import Flow
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import ways

if TYPE_CHECKING:
    from fac.build.updating import Plan

KOLEN_POLLACK_WITHOUT_DECAY = Rule("FAC317", "kolen-pollack-without-decay", Severity.WARNING)
UNEQUAL_TWIN_STEPS = Rule("FAC318", "unequal-twin-steps", Severity.WARNING)


def kolen_pollack_without_decay(program: Program) -> Iterator[Diagnostic]:
    """A full matrix learns by `kolen_pollack`, and no weight decay makes it forget where it started.

    B takes the same step as the weight W that it stands for, so B - W^T changes by weight decay alone: it shrinks by
    1 - lr * weight_decay per step, and without decay keeps its first value for ever. What alignment there is then
    comes from W and B growing alike beside a difference that stays (after 20 epochs on the digits cos(B, W^T) is
    0.5 to 0.7, where decay would take it to 1 in some 1 / (lr * weight_decay) steps). Low-rank pairs are left alone:
    with P by Oja's rule they come within half a point of backpropagation without decay. Where channels are in groups no
    pair fits, and a low-rank short-hand such as `ldfa` writes a full matrix, which is told of like any other.

    Bad:

        feedback: {rule: fa, learn: {rule: kolen_pollack}}

    Good:

        feedback: {rule: fa, learn: {rule: kolen_pollack}}
        update: {rule: sgd, lr: 0.1, weight_decay: 0.001}

    See Kolen and Pollack 1994; arXiv 1904.05391.
    """
    kept = (r for r, own, twin in _twins(program) if not _decay(own) and not _decay(twin))
    for routes in by_origin(kept).values():
        yield KOLEN_POLLACK_WITHOUT_DECAY.at(
            learning_of(program, routes[0], "learn"),
            f"without weight decay the feedback of {listed(fed(program, routes))} keeps its distance "
            "from the weight",
            help="set a `weight_decay` in `update:`, which both then have",
        )


def unequal_twin_steps(program: Program) -> Iterator[Diagnostic]:
    """A matrix that learns by `kolen_pollack` takes another step than its weight.

    Under this rule a feedback matrix B learns by doing what the weight W does in whose place it passes errors down,
    its twin: both start anywhere and then take the same steps, by the same gradient, learning rate, momentum and
    decay. So their difference B - W^T can only shrink, by the decay, until the feedback is the true one. A setting
    for feedback matrices (`feedback:` inside `update:`), or a group, that gives one of the two another rate or
    another decay breaks that identity, and B settles somewhere else. The Q of a low-rank matrix has no twin (W^T P^T
    moves with P), and is left alone. Steps of `train.anchor` move W alone, and are no finding: where one of ten is an
    anchor, cos(B, W^T) ends at 0.98 instead of 0.99 (60 epochs on the digits with weight decay 0.01), where every
    second one is, at 0.82.

    Bad:

        feedback: {rule: fa, learn: {rule: kolen_pollack}}
        update: {rule: sgd, lr: 0.1, weight_decay: 0.001, feedback: {lr_scale: 0.1}}

    Good:

        feedback: {rule: fa, learn: {rule: kolen_pollack}}
        update: {rule: sgd, lr: 0.1, weight_decay: 0.001}

    See arXiv 1904.05391.
    """
    seen: set[Path] = set()
    for route, own, twin in _twins(program):
        mine, its = _settings(own, program.update.lr), _settings(twin, program.update.lr)
        field = next((f for f in mine | its if mine.get(f) != its.get(f)), None)
        if field is None or not own.lr_ratio:
            continue
        assert route.ends is not None
        assert route.ends.weight is not None
        decided = decides(program, route.tensors[0]) or decides(program, route.ends.weight)
        if decided is not None and decided[0] not in seen:
            seen.add(decided[0])
            yield UNEQUAL_TWIN_STEPS.at(
                decided[0],
                f"the feedback of `{stated(program, route.node, route)}` takes another step than its weight: "
                f"`{field}` {_shown(mine.get(field))}, not {_shown(its.get(field))}",
                help="`kolen_pollack` aligns the two only if both move alike: let one setting decide for both",
                key=True,
            )


def _twins(program: Program) -> list[tuple[Route, Plan, Plan]]:
    """Full matrices that follow a weight that learns, how they move, and how the weight does."""
    followers = [
        r for r in program.routes if r.ends and r.ends.weight and r.ends.weight.trainable and _follows(r)
    ]
    if not followers or not wired(program):
        return []
    from fac.build.updating import plan  # few specs need it

    flow = Flow(program)
    return [
        (route, plan(program, route.tensors[0]), plan(program, route.ends.weight))
        for route in followers
        if route.ends and route.ends.weight and not dead(flow, route)
    ]


def _follows(route: Route) -> bool:
    rule = kind_of("fac.feedback", route.matrix).learning(route.matrix).get("B")
    return rule is not None and bool(route.tensors) and ways(rule).follows


def _decay(plan: Plan) -> float:
    decay: float = getattr(plan.rule, "weight_decay", 0.0)
    return decay


def _settings(plan: Plan, lr: float) -> dict[str, Any]:
    """All by which two steps can differ; what a rule shares with the whole network is no part of it."""
    kind = kind_of("fac.updates", plan.rule)
    fields = [field for field in kind.spec.model_fields if field not in ("lr", "rule")]
    return {"rule": kind.name, "lr": plan.lr_ratio * lr, "keep": plan.keep} | {
        f: getattr(plan.rule, f) for f in fields
    }


def _shown(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else f"`{value}`"
    )
