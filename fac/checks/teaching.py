"""FAC320, FAC321, FAC326, FAC335: how feedback matrices learn, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from fac.checks.laws import variance, wide
from fac.checks.places import by_origin, decides, listed, matrix_of, short_hand, stated
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program, Route
from fac.program.reading import makes_gradient, needs_slope, ways
from fac.program.tensors import SvdFactor, Tensor

LEARNING_OVERWRITTEN = Rule("FAC320", "learning-overwritten", Severity.WARNING)
UNTAUGHT_MATRIX = Rule("FAC321", "untaught-matrix", Severity.WARNING)
NORMATIVE_STEP_TOO_LARGE = Rule("FAC326", "normative-step-too-large", Severity.WARNING)
NO_LOSS_TO_LEARN_FROM = Rule("FAC335", "no-loss-to-learn-from")

MARGIN = 1.1
"""The largest singular value of a weight that is drawn differs from the expected one by a few percent."""


def learning_overwritten(program: Program) -> Iterator[Diagnostic]:
    """P and Q learn at every step, and are set anew after every step.

    `refresh` replaces both factors by those of the singular value decomposition of the forward weight. With
    `refresh: 1` that happens after each step, so what the learning rules did in it is lost, and was paid for: two
    products with the weight at each step for `normative`. `fixed` factors with `refresh: 1` are the same training.

    Bad:

        feedback: {rule: ldfa, rank: 10, learn: normative, refresh: 1}

    Good, every 20 steps:

        feedback: {rule: ldfa, rank: 10, learn: normative, refresh: 20}

    See arXiv 2502.20580.
    """
    for routes in by_origin(program.routes).values():
        for route in routes:
            kind = kind_of("fac.feedback", route.matrix)
            taught = [rule for rule in kind.learning(route.matrix).values() if ways(rule).teaches]
            if kind.refresh(route.matrix) != 1 or not taught:
                continue
            yield LEARNING_OVERWRITTEN.at(
                matrix_of(program, route, "refresh"),
                f"P and Q are set anew after every step, so what `{ways(taught[0]).name}` teaches them is lost",
                help="refresh less often"
                if short_hand(program, route) is not None
                else "refresh less often, or use `read: {rule: fixed}` and `write: {rule: fixed}`",
            )
            break


def untaught_matrix(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix has a learning rule, and a learning rate of 0.

    `lr_scale: 0` multiplies every step of the matrix by 0, weight decay included. Its gradient is computed all the
    same. `fixed` says what is meant, and computes nothing. (For weights `trainable: false` does that.)

    Bad:

        feedback: {rule: ldfa, rank: 10}
        update: {rule: sgd, lr: 0.1, feedback: {lr_scale: 0.0}}

    Good:

        feedback: {rule: ldfa, rank: 10, learn: fixed}
        update: {rule: sgd, lr: 0.1}
    """
    still: dict[Path, list[str]] = {}
    for route in program.routes:
        for tensor in route.tensors:
            decided = decides(program, tensor) if _moved(route, tensor) else None
            if decided is not None and decided[1].lr_scale == 0:
                still.setdefault((*decided[0], "lr_scale"), []).append(stated(program, route.node, route))
    for path, names in still.items():
        yield UNTAUGHT_MATRIX.at(
            path,
            f"a rate of 0 keeps the feedback of {listed(names)} from learning what its rule teaches",
            help="use a rate above 0, or let it learn by `fixed`, which computes no gradient",
        )


def _moved(route: Route, tensor: Tensor) -> bool:
    rule = kind_of("fac.feedback", route.matrix).learning(route.matrix).get(tensor.part)
    return rule is not None and makes_gradient(rule)


def normative_step_too_large(program: Program) -> Iterator[Diagnostic]:
    """P and Q follow the forward weight by steps so large that they overshoot.

    `normative` is gradient descent on |W^T - Q P|^2 / 2. Its curvature at the balanced factors with which `init: svd`
    starts is 2 s, s the largest singular value of W, so plain steps are stable below a rate of 1 / s, and with
    momentum m below (1 + m) / s. Beyond that P and Q swing to ever larger values. The largest singular value of a
    random weight of shape [a, b] and spread t is t (sqrt(a) + sqrt(b)). It grows during training: stay well below.
    Adam bounds its steps by itself, and clipping does so, too; neither is judged.

    Bad, where s is 2.4 at `fc2` and 2.5 at `logits`:

        feedback: {rule: ldfa, rank: 10, learn: normative}
        update: {rule: sgd, lr: 0.05, feedback: {lr_scale: 10.0}}

    Good:

        feedback: {rule: ldfa, rank: 10, learn: normative}
        update: {rule: sgd, lr: 0.05}

    See arXiv 2502.20580.
    """
    if program.update.clip is not None:
        return
    for routes in by_origin(program.routes).values():
        worst = max((o for route in routes if (o := _overshoot(program, route))), default=None)
        if worst is None:
            continue
        _, rate, limit, node = worst
        decided = decides(program, next(r for r in routes if r.node == node).tensors[0])
        path: Path = ("update", "lr") if decided is None else decided[0]
        scaled = decided is not None and "lr_scale" in decided[1].model_fields_set
        yield NORMATIVE_STEP_TOO_LARGE.at(
            (*path, "lr_scale") if scaled else path,
            f"steps of {rate:g} overshoot at `{node}`, whose weight allows less than {limit:.2g}",
            help="lower the rate of the feedback with `update: {feedback: {lr_scale: ...}}`, or use `adam`",
            key=decided is not None and not scaled,
        )


def no_loss_to_learn_from(program: Program) -> Iterator[Diagnostic]:
    """A feedback matrix learns from how the loss changes with a value that no loss depends on.

    `forward_gradient` moves the value at the site of its route a little and looks what that does to the loss. Where
    none stands above the site, it does nothing: the matrix would stay as it was drawn. Other ways to learn, and fixed
    matrices, go by errors from elsewhere.

    Bad, where the loss does not depend on `side`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: side, out: 16}
          - {kind: linear, name: logits, out: 10, from: relu_1}
        feedback:
          routes:
            - {to: side, matrix: {kind: random, learn: {rule: forward_gradient}}}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 16}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        feedback:
          routes:
            - {to: fc1, matrix: {kind: random, learn: {rule: forward_gradient}}}
    """
    for routes in by_origin(program.routes).values():
        for route in routes:
            if route.site is None or route.site in program.felt:
                continue
            rules = kind_of("fac.feedback", route.matrix).learning(route.matrix)
            part = next((part for part, rule in rules.items() if needs_slope(rule, part)), None)
            if part is not None:
                layer = stated(program, route.node, route)
                yield NO_LOSS_TO_LEARN_FROM.at(
                    matrix_of(program, route, "learn" if part == "B" else None),
                    f"`{ways(rules[part]).name}` teaches the feedback of `{layer}` from the loss, which does not "
                    f"depend on `{route.site}`",
                    help="use it where a loss stands above, or another way to learn",
                )
                break


def _overshoot(program: Program, route: Route) -> tuple[float, float, float, str] | None:
    """By how much the steps of a pair are too large, the rate, its limit, and the layer; None if they are not."""
    top = _top_singular_value(route)
    if not top:
        return None
    from fac.build.updating import plan  # few specs need it

    update = program.update
    own, other = (plan(program, tensor) for tensor in route.tensors)
    descent = kind_of("fac.updates", own.rule).descent(own.rule)
    if descent is None or descent.nesterov or own != other:
        return None
    rate, limit = own.lr_ratio * update.lr, (1 + descent.momentum) / top
    return (rate / limit, rate, limit, route.node) if rate > MARGIN * limit else None


def _top_singular_value(route: Route) -> float | None:
    """Of the forward weight at the start, if P and Q both track it from its own factors; None if unknown."""
    ends = route.ends
    weight = None if ends is None else ends.weight
    rules = kind_of("fac.feedback", route.matrix).learning(route.matrix)
    pair = [t.part for t in route.tensors if isinstance(t.init, SvdFactor) and t.part in rules]
    if (
        ends is None
        or weight is None
        or pair != ["P", "Q"]
        or not all(ways(rules[part]).tracks for part in pair)
    ):
        return None
    entries = variance(weight)
    return None if entries is None else sqrt(entries) * (sqrt(wide(ends.reads)) + sqrt(wide(ends.writes)))
