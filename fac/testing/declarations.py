"""What kinds say of themselves, held against what they do. For plug-ins too: a kind that lies misleads the checks.

    def test_what_it_says() -> None:
        check_declarations(MY_LAYER, MyLayer(width=3))

Weight transport and randomness are no declarations: `fac.program.reading` and `fac.build.transport` find them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from fac.backend import Array
from fac.build.initial import draw
from fac.diagnostics import FacError
from fac.plugins import told
from fac.program.bounds import size_of
from fac.program.kinds import (
    BlockKind,
    Kind,
    LayerKind,
    LearningKind,
    LossKind,
    MatrixKind,
    ScheduleKind,
    Signals,
    SolveKind,
    State,
    UpdateKind,
)
from fac.program.lower import kind_of, node_of
from fac.program.program import INPUT, Ends, Shape
from fac.program.scopes import Scope
from fac.program.tensors import Columns, Products, Tensor
from fac.spec.base import Model
from fac.spec.feedback import Learning
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.contraction import pretended, product
from fac.step.factors import Factors
from fac.step.ir import Value
from fac.step.random import Stream
from fac.step.types import DType, N, Type
from fac.testing.case import require
from fac.testing.evaluated import evaluated, near
from fac.testing.layer_laws import check_layer
from fac.testing.loss_laws import check_loss
from fac.testing.schedule_laws import check_schedule
from fac.testing.solve_laws import check_solve

READS, WRITES = 5, 4
THROUGH = Ends("it.feedback", READS, WRITES, Tensor("it.weight", (READS, WRITES), "launay", WRITES, READS))
TO = Ends("it.feedback", READS, WRITES)


def check_declarations(kind: Kind, spec: Model | None = None, shapes: Sequence[Shape] = ()) -> None:
    """Hold what a kind says of itself against what it does. Rules and probes declare nothing.

    Args:
        kind: of any family.
        spec: its settings; not needed if all have defaults.
        shapes: of the samples that a layer reads, one for each input, by default one vector of 6 numbers; or of the
            output that a loss reads, by default 3 numbers.

    Raises:
        AssertionError: something that it says does not hold.
        ValueError: a setting has no default, and no settings are given.
    """
    match kind:
        case LayerKind():
            check_layer(kind, spec or _defaults(kind), shapes or ((6,),))
        case BlockKind():
            _block(kind, spec or _defaults(kind), *shapes or ((6,),))
        case LossKind():
            check_loss(kind, spec or _defaults(kind), *shapes or ((3,),))
        case MatrixKind():
            for ends in (THROUGH, TO):
                _operator(kind, spec or _defaults(kind), ends)
        case LearningKind():
            _learning(kind, spec or _defaults(kind))
        case SolveKind():
            check_solve(kind, spec or _defaults(kind, rule=kind.name))
        case UpdateKind():
            _update(kind, spec or _defaults(kind))
            _factored(kind, spec or _defaults(kind))
        case ScheduleKind():
            settings: Any = spec or _defaults(kind)
            check_schedule(kind, settings)


def _defaults(kind: Any, **given: str) -> Any:
    """Its settings where each has a default, or is given."""
    try:
        return kind.spec.model_validate(given)
    except ValidationError as error:
        missing = ", ".join(f"`{'.'.join(map(str, e['loc']))}`" for e in error.errors())
        raise ValueError(
            f"`{kind.name}` has settings without a default, {missing}: give `spec={kind.spec.__name__}(...)`"
        ) from None


def _block(kind: BlockKind, layer: Any, shape: Shape) -> None:
    """It writes out as many layers as bound it before."""

    def kinds(other: Layer) -> Any:
        return kind if other is layer else kind_of("fac.layers", other)

    said = size_of(layer, kind, kinds, ("layers", 0)).layers
    made = len(list(Scope.top({INPUT: shape}, INPUT, kinds, node_of).chain((layer,), INPUT, "layers")))
    told = said <= made if kind.unrolled else said == made
    require(told, f"`{kind.name}` says that it stands for {said} layers, and writes {made}")


def _operator(kind: MatrixKind, matrix: Any, ends: Ends) -> None:
    """Its matrix, its rank, what it learns, and what is set anew."""
    if kind.misfit(matrix, ends) is not None:
        return
    tensors = kind.tensors(matrix, ends)
    rng = np.random.default_rng(0)
    kept = tuple(t for t in (*tensors, ends.weight) if t is not None)
    given = {tensor.name: _random(tensor, rng) for tensor in kept}

    def made(write: Callable[[Builder, Mapping[str, Value], Value, Value | None], Value]) -> Array:
        b = Builder()
        error = b.input("x", Type((N, ends.reads)))
        weight = None if ends.weight is None else b.input(ends.weight.name, Type(ends.weight.shape))
        state = {t.part: b.input(t.name, Type(t.shape)) for t in tensors}
        return evaluated(b, write(b, state, error, weight), np.eye(ends.reads), given)

    def applied(b: Builder, state: State, error: Value, weight: Value | None) -> Value:
        try:
            return kind.apply(b, matrix, state, _signals(b, ends, error, weight))
        except Exception as fault:
            if weight is not None:
                raise
            why = str(fault) if isinstance(fault, FacError) else told(fault)
            raise AssertionError(
                f"`{kind.name}` fails on a `to` route, where `signals.weight` is None; if it cannot stand there, its "
                f"`misfit` says so of ends whose `weight` is None: {why}"
            ) from fault

    # Of the errors 1, 0, 0, ...; 0, 1, 0, ...; and so on it makes its matrix, [reads, writes].
    sent = made(applied)
    whole = kind.matrix
    if whole is not None:
        turned = ends.weight is None
        said = made(
            lambda b, state, error, weight: b.matmul(error, whole(b, matrix, ends, state, weight), tb=turned)
        )
        require(near(sent, said), f"`{kind.name}` multiplies with another matrix than its `matrix`")
    if ends.weight is not None and kind.signs(matrix):
        given[ends.weight.name] *= rng.uniform(0.5, 2, ends.weight.shape)
        again = made(applied)
        require(near(sent, again), f"`{kind.name}` reads more of the weight than its signs")
    rank = kind.rank(matrix, ends)
    found = int(np.linalg.matrix_rank(sent, tol=1e-9))
    require(rank is None or found == rank, f"`{kind.name}` says that its rank is {rank}, and it is {found}")
    auto = kind.auto(matrix)
    held = auto is None or getattr(matrix, "rank", None) in ("auto", auto)
    require(held, f"`{kind.name}` says that its rank is measured, and has no field `rank` that says so")
    _teaching(kind, matrix, ends, tensors)


def _teaching(kind: MatrixKind, matrix: Any, ends: Ends, tensors: tuple[Tensor, ...]) -> None:
    b = Builder()
    state = {t.part: b.input(t.name, Type(t.shape)) for t in tensors}
    weight = None if ends.weight is None else b.input(ends.weight.name, Type(ends.weight.shape))
    error = b.input("x", Type((N, ends.reads)))
    receiver = b.matmul(error, b.input("receiver", Type((ends.reads, ends.writes))))
    ways = _signals(b, ends, error, weight, receiver)
    learned = {one.tensor: one for one in kind.learn(b, matrix, state, ways)}
    found = {p: one.value.type.shape for p, one in learned.items()}
    shapes = {t.part: t.shape for t in tensors}
    require(
        all(shapes.get(part) == shape for part, shape in found.items()),
        f"`{kind.name}` learns {found}, and its matrices are {shapes}",
    )
    said = {p: rule for p, rule in kind.learning(matrix).items() if kind_of("fac.learning", rule).teaches}
    idle = ", ".join(sorted(said.keys() - learned.keys()))
    require(not idle, f"`{kind.name}` says that a rule teaches {idle}, and nothing does")
    fields = {name: getattr(matrix, name) for name in type(matrix).model_fields}
    for name, rule in fields.items():
        teaches = isinstance(rule, Learning) and kind_of("fac.learning", rule).teaches
        told = any(rule is other for other in said.values())
        require(
            told or not teaches, f"`{kind.name}` has a rule in `{name}`, and does not say what it teaches"
        )
    rng, x = np.random.default_rng(0), np.random.default_rng(1).standard_normal((7, ends.reads))
    given = {t.name: _random(t, rng) for t in tensors}
    given |= {"receiver": rng.standard_normal((ends.reads, ends.writes))}
    given |= {} if ends.weight is None else {ends.weight.name: rng.standard_normal(ends.weight.shape)}
    for part, rule in said.items():
        way = kind_of("fac.learning", rule)
        teach = {"B": way.full, "P": way.read, "Q": way.write}.get(part)
        own = None if teach is None else teach(b, rule, state, ways)
        alike = own is not None and near(*(_alone(b, one.value, x, given) for one in (own, learned[part])))
        require(alike, f"`{kind.name}` says that `{way.name}` teaches {part}, and another rule does")
    refreshes = ends.weight is not None and kind.refresh(matrix) is not None
    require(
        not refreshes or [t.name for t in tensors] == [f"{ends.prefix}.{side}" for side in "PQ"],
        f"`{kind.name}` is refreshed, and has no P and Q to set anew",
    )


def _random(tensor: Tensor, rng: np.random.Generator) -> Array:
    """Any numbers, but where the law of a tensor says more than how large they are."""
    lawful = isinstance(tensor.init, Columns | Products)
    return draw((tensor,), 0)[tensor.name] if lawful else rng.standard_normal(tensor.shape)


def _alone(b: Builder, value: Value, x: Array, state: Mapping[str, Array]) -> Array:
    """A value that is not one of each sample."""
    made: Array = evaluated(b, b.broadcast_to(value, (N, *value.type.shape)), x, state)[0]
    return made


def _signals(
    b: Builder, ends: Ends, error: Value, weight: Value | None, receiver: Value | None = None
) -> Signals:
    """What an operator between those ends is given. What is sent depends on no number of the receiver."""
    receiver = receiver or Value("receiver", Type((N, ends.writes)))
    way = pretended(receiver, ends.reads) if weight is None else product(receiver, weight)
    ahead = _ahead(receiver) if weight is None else None
    return Signals(error, way, weight, ends.weight, _stream(b), ahead)


def _stream(b: Builder) -> Stream:
    return Stream(0, "it", lambda: b.constant(0))


def _learning(kind: LearningKind, rule: Any) -> None:
    """Which matrix each of its functions teaches, and whether it takes the step of the forward weight."""
    rank = 2
    shapes = {"B": (READS, WRITES), "P": (rank, READS), "Q": (WRITES, rank)}
    rng = np.random.default_rng(0)
    state = {part: rng.standard_normal(shape) for part, shape in shapes.items()}
    state |= {
        "receiver": rng.standard_normal((READS, WRITES)),
        "weight": rng.standard_normal((READS, WRITES)),
    }
    x = rng.standard_normal((7, READS))
    receiver = x @ state["receiver"]
    steps = {"B": x.T @ receiver, "Q": receiver.T @ (x @ state["P"].T)}
    follows = tracks = False
    weight, p, q = state["weight"], state["P"], state["Q"]
    descents = {"P": q.T @ (q @ p - weight.T), "Q": (q @ p - weight.T) @ p.T}
    for part, teach in zip("BPQ", (kind.full, kind.read, kind.write), strict=True):
        if teach is None:
            continue
        b = Builder()
        error = b.input("x", Type((N, READS)))
        given = {name: b.input(name, Type(array.shape)) for name, array in state.items()}
        way = product(b.matmul(error, given["receiver"]), given["weight"])
        signals = Signals(error, way, given["weight"], THROUGH.weight, _stream(b), _ahead(way.x))
        learned = teach(b, rule, given, signals)
        require(
            (learned.tensor, learned.value.type.shape) == (part, shapes[part]),
            f"`{kind.name}` should teach {part} {shapes[part]}, and teaches {learned.tensor} "
            f"{learned.value.type.shape}",
        )
        if learned.gradient:
            found = evaluated(b, b.broadcast_to(learned.value, (N, *shapes[part])), x, state)[0]
            follows = follows or (part in steps and near(found, steps[part]))
            tracks = tracks or (part in descents and near(found, descents[part]))
    verb = "does not take" if kind.follows else "takes"
    require(
        follows == kind.follows, f"`{kind.name}` says otherwise, and {verb} the step of the forward weight"
    )
    verb = "do not descend" if kind.tracks else "descend"
    require(
        tracks == kind.tracks,
        f"`{kind.name}` says otherwise, and P and Q {verb} their distance to the weight",
    )


def _ahead(fed: Value) -> Callable[[Builder, Value], Value]:
    """The slope of a loss whose error is what is fed, along rows."""
    return lambda b, rows: b.sum(b.mul(rows, fed), (1,), keep=True)


def _update(kind: UpdateKind, rule: Any) -> None:
    """The state that it keeps, and the step that it takes of random numbers, and of no gradient."""
    rng, slots, lr = np.random.default_rng(0), kind.slots(rule), 0.1
    given = {name: rng.standard_normal((3, 2)) for name in ("w", "g", *(f"slot.{slot}" for slot in slots))}

    def made(known: Mapping[str, Array]) -> dict[str, Array]:
        b = Builder()
        b.input("x", Type((N, 1)))
        w, g, *kept = (b.input(name, Type((3, 2))) for name in given)
        state = dict(zip(slots, kept, strict=True))
        next = kind.apply(b, rule, w, g, state, b.constant(lr), b.cast(b.constant(0), DType.INT))
        require(
            next.slots.keys() == set(slots),
            f"`{kind.name}` says that it keeps {sorted(slots)}, and keeps {sorted(next.slots)}",
        )
        values = {"w": next.parameter, **next.slots}
        x = np.zeros((1, 1))
        return {n: evaluated(b, b.broadcast_to(v, (N, 3, 2)), x, known)[0] for n, v in values.items()}

    w, g, decay, descent = given["w"], given["g"], kind.decay(rule), kind.descent(rule)
    start = {name: array if name in "wg" else 0 * array for name, array in given.items()}
    first = made(start)
    if not decay:
        left = made(start | {"g": 0 * g})["w"]
        fact = near(left, w) or not near(left / w, left[0, 0] / w[0, 0] + 0 * w)
        require(fact, f"`{kind.name}` says that its decay is 0, and it takes of the weight what goes with it")
    else:
        ahead = descent.momentum if descent is not None and descent.nesterov else 0.0
        left = (1 - lr * (1 + ahead) * decay) * w
        fact = near(made(start | {"g": 0 * g})["w"], left)
        require(fact, f"`{kind.name}` says that its decay is {decay:g}, and it is not")
    if descent is not None:
        moved = g + decay * w
        m = descent.momentum * sum((given[f"slot.{slot}"] for slot in slots), 0 * g) + moved
        step = moved + descent.momentum * m if descent.nesterov else m
        require(near(made(given)["w"], w - lr * step), f"`{kind.name}` takes another step than its `descent`")
    if kind.moments is not None:
        mean, square = (1 - getattr(rule, field) for field in kind.moments)
        kept = [first[slot] for slot in slots[:2]]
        moments = zip(kept, (mean * g, square * g * g), strict=True)
        require(all(near(a, b) for a, b in moments), f"`{kind.name}` keeps other means than its `moments`")


def _factored(kind: UpdateKind, rule: Any) -> None:
    """The step that it takes from the factors of a gradient, and the one from the gradient."""
    how, slots, rng = kind.factored(rule), kind.slots(rule), np.random.default_rng(0)
    if how is None:
        return
    x, shape = rng.standard_normal((2, 3)), (5, 4)
    given = {"w": rng.standard_normal(shape)}
    given |= {"left": rng.standard_normal((3, 5)), "right": rng.standard_normal((3, 4))}
    given |= {f"slot.{slot}": rng.standard_normal(shape) for slot in slots}

    def made(factored: bool) -> list[Array]:
        b = Builder()
        rows = b.input("x", Type((N, 3)))
        w, left, right, *kept = (b.input(name, Type(array.shape)) for name, array in given.items())
        pair = Factors(b.matmul(rows, left), b.matmul(rows, right))
        state, lr, step = (
            dict(zip(slots, kept, strict=True)),
            b.constant(0.1),
            b.cast(b.constant(0), DType.INT),
        )
        if factored:
            next = how(b, rule, w, pair, state, lr, step)
        else:
            gradient = b.matmul(pair.left, pair.right, ta=True)
            next = kind.apply(b, rule, w, gradient, state, lr, step)
        values = [next.parameter, *(next.slots.get(slot, w) for slot in slots)]
        return [evaluated(b, b.broadcast_to(value, (N, *shape)), x, given)[0] for value in values]

    same = all(near(a, b) for a, b in zip(made(True), made(False), strict=True))
    require(same, f"`{kind.name}` takes another step from the factors of a gradient than from the gradient")
