"""Who is timed. A new one is a class in a file of this folder, and a line in `every`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from fac.bench.case import Case, narrowed
from fac.bench.contenders.base import Contender, State, UnfitError
from fac.bench.contenders.by_hand import ByHand
from fac.bench.contenders.eager import Eager, compiled
from fac.bench.contenders.emitted import Emitted
from fac.bench.contenders.peers import BioTorch, TinyDfa
from fac.bench.results import BASELINE, DEFAULTS

__all__ = ["Contender", "Entry", "State", "UnfitError", "every"]

COMPILED = "torch.compile, same flags"


@dataclass(frozen=True, slots=True)
class Entry:
    """One that may be built."""

    name: str
    rule: str
    """Whose float64 step is its oracle."""
    build: Callable[[Case, State | None, str], Contender]
    """Of a case, the state to begin with or None for one of its own, and a precision."""


def every(case: Case, rules: Sequence[str], mode: str, *, peers: bool) -> list[Entry]:
    """The contenders of a case, in the order of tables: eager backpropagation, fac by rule, peers by rule.

    Args:
        case: see `Case`.
        rules: of which.
        mode: how a session of fac has float32 products computed, as `torch.set_float32_matmul_precision` takes it.
        peers: whether `torch.compile` and other packages are among them.
    """
    chosen = [rule for rule in case.rules if rule in rules]
    found = [
        Entry(BASELINE, "bp", partial(Eager, mode=mode, fused=True)),
        Entry(DEFAULTS, "bp", partial(Eager, mode="highest", fused=False)),
    ]
    if peers:
        found.append(Entry(COMPILED, "bp", partial(compiled, mode=mode)))
    found += [Entry(f"fac {rule}", rule, partial(Emitted, rule=rule, backend="torch")) for rule in chosen]
    found += [
        Entry(f"fac {narrowed(rule)}", narrowed(rule), partial(Emitted, rule=narrowed(rule), backend="torch"))
        for rule in chosen
        if rule in case.narrow
    ]
    calls = ", many steps to a call" * case.many
    found += [
        Entry(f"fac {rule}, onnx{calls}", rule, partial(Emitted, rule=rule, backend="onnx"))
        for rule in chosen
        if case.many or rule in case.onnx
    ]
    if case.adapted and "ldfa_fixed" in chosen:
        found.append(Entry("ldfa_fixed by hand", "ldfa_fixed", partial(ByHand, mode=mode)))
    peers = peers and case.dense
    if peers and "dfa" in chosen:
        found.append(Entry("TinyDFA's method", "dfa", partial(TinyDfa, mode=mode)))
    if peers:
        found += [
            Entry(f"BioTorch {rule}", rule, partial(BioTorch, rule=rule, mode=mode))
            for rule in ("fa", "dfa")
            if rule in chosen
        ]
    return found
