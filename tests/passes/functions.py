"""Functions for passes to work on: one by hand per pass, and random ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.types import N, Type

X = Type((N, 3))


def foldable() -> Function:
    """Scalars that are known, neutral operands, and stretching that broadcasting does by itself, and signs."""
    b = Builder()
    x, w, lr = b.input("x", X), b.input("w", Type((3, 3))), b.scalar("lr")
    half = b.named(b.sub(1.0, b.div(b.constant(1.0), 2.0)), "half")
    same = b.add(b.mul(1.0, b.sub(x, 0.0)), 0.0)
    row = b.named(b.sum(w, (0,)), "row")
    stretched = b.mul(b.broadcast_to(row, (N, 3)), same)
    # Nothing to fold: a zero that widens, a one on the wrong side, a scalar that is known at run time only.
    kept = b.div(1.0, b.add(b.broadcast_to(b.constant(0.0), (N, 3)), row))
    # Rows of channels and back; and what is turned and laid out again, but not back.
    rows = b.reshape(b.transpose(b.reshape(x, (N, 3, 1)), (0, 2, 1)), (N, 3))
    back = b.transpose(b.reshape(rows, (N, 1, 3)), (0, 2, 1))
    again = b.transpose(b.transpose(back, (2, 0, 1)), (2, 0, 1))
    signs = b.sub(b.add(b.neg(x), same), b.neg(b.add(row, b.neg(x))))
    return b.finish(
        "foldable",
        {
            "y": b.mul(stretched, half),
            "z": b.mul(kept, b.mul(lr, 1.0)),
            "back": back,
            "again": again,
            "signs": signs,
        },
    )


def turned() -> Function:
    """Products with transposed matrices and transposed products, and what has to stay transposed."""
    b = Builder()
    x, w = b.input("x", X), b.input("w", Type((3, 3)))
    read = b.matmul(x, b.transpose(w, (1, 0)))
    made = b.transpose(b.matmul(x, read, ta=True), (1, 0))
    back = b.transpose(b.transpose(read, (1, 0)), (1, 0))
    # Nothing to turn: the product is read as it is, too, and no product reads the other two.
    shared = b.matmul(w, w, tb=True)
    both = b.mul(shared, b.transpose(shared, (1, 0)))
    deep = b.transpose(b.reshape(x, (N, 3, 1)), (2, 0, 1))
    return b.finish("turned", {"made": made, "back": back, "both": both, "deep": deep})


def repeated() -> Function:
    """Ops that say the same, directly and through their operands; and some that only look alike."""
    b = Builder()
    x, w = b.input("x", X), b.input("w", Type((3, 3)))
    first, second = b.matmul(x, w), b.matmul(x, w)
    left, right = b.mul(first, 2.0), b.mul(second, 2.0)
    other = b.matmul(x, w, tb=True)
    return b.finish("repeated", {"y": b.add(left, right), "z": b.add(right, left), "o": other})


def dead() -> Function:
    """A chain that nobody reads, and an op of which only the input is an output."""
    b = Builder()
    x, w = b.input("x", X), b.input("w", Type((3, 3)))
    y = b.named(b.matmul(x, w), "y")
    b.neg(b.neg(y))
    return b.finish("dead", {"y": y, "w": w})


BY_PASS: dict[str, Callable[[], Function]] = {
    "fold_constants": foldable,
    "turn_matrices": turned,
    "share_common": repeated,
    "drop_dead": dead,
}


def drawn(seed: int) -> Function:
    """A random function with something to do for every pass: neutral numbers, repeats, dead ends."""
    rng = random.Random(seed)
    b = Builder()
    wide: list[Value] = [b.input("x", X)]
    square: list[Value] = [b.input("w", Type((3, 3)))]
    scalars: list[Value] = [b.scalar("lr"), b.constant(1.0), b.constant(0.0)]
    for _ in range(rng.randint(5, 40)):
        kind = rng.choice(
            [
                "add",
                "mul",
                "sub",
                "neg",
                "relu",
                "matmul",
                "scalar",
                "row",
                "stretch",
                "repeat",
                "turn",
                "turned",
            ]
        )
        v, u = rng.choice(wide), rng.choice([*wide, *scalars])
        match kind:
            case "add" | "mul" | "sub":
                wide.append(b.emit(kind, v, u))
            case "neg" | "relu":
                wide.append(b.emit(kind, v))
            case "matmul":
                wide.append(b.matmul(v, rng.choice(square), tb=rng.random() < 0.5))
            case "turn":
                wide.append(b.matmul(v, b.transpose(rng.choice(square), (1, 0))))
            case "turned":
                other = b.matmul(b.transpose(rng.choice(square), (1, 0)), v, ta=True, tb=True)
                wide.append(b.transpose(other, (1, 0)))
            case "scalar":
                scalars.append(b.emit(rng.choice(["add", "mul", "maximum"]), *rng.choices(scalars, k=2)))
            case "row":
                wide.append(b.mul(b.broadcast_to(b.sum(v, (0,), keep=True), (N, 3)), u))
            case "stretch":
                wide.append(b.add(b.broadcast_to(rng.choice(scalars), (N, 3)), v))
            case "repeat":
                op = rng.choice(b.ops)
                again = b.emit(op.kind, *op.operands, **dict(op.attributes))
                (wide if again.type == X else []).append(again)
    outputs = {f"y{k}": value for k, value in enumerate(rng.choices(wide, k=3))}
    region = rng.choice(b.ops)
    b.mark("kernel", {f"i{k}": v for k, v in enumerate(region.operands)}, {"y": region.result}, {})
    return b.finish("drawn", outputs | {"s": rng.choice(scalars)})
