"""How feedback operators are called, in tables, chains and pictures."""

from __future__ import annotations

from fac.program.declared import auto_rank
from fac.program.lower import kind_of
from fac.program.program import Node, Route, Subspace
from fac.program.reading import learned
from fac.spec.feedback import Learning, Matrix

LETTERS = frozenset({"random", "low_rank"})
"""Operators whose matrices are called as in the papers, B and Q P: the letters say which operator it is."""
Owner = Route | Subspace | Node
"""Whose matrix an error passes: a node's is its weight, transposed."""


def describe(owner: Owner) -> str:
    """An operator with the name of its state: `Q P (logits.feedback, rank 10, oja / kolen_pollack)`."""
    if isinstance(owner, Node):
        return f"W^T ({owner.name if owner.weight is None else owner.weight.name})"
    if isinstance(owner, Subspace):
        return f"P ({owner.name}, rank {owner.rank}, {rule_name(owner.basis)})"
    assert owner.ends is not None
    rank = kind_of("fac.feedback", owner.matrix).rank(owner.matrix, owner.ends)
    rules = " / ".join(learning(owner.matrix))
    if owner.tensors and not rules:
        rules = "learned" if learned(owner) else "fixed"
    tokens = 0 if owner.through else max(owner.ends.places, owner.ends.copies)
    tokens_share = f"shared by {tokens} tokens" if tokens > 1 else ""
    rows = owner.ends.shared
    part = f"{owner.ends.writes} of {rows} rows" if rows not in (None, owner.ends.writes) else ""
    said = f"rank auto, at most {rank}" if auto_rank(owner) else f"rank {rank}"
    facts = [owner.ends.prefix, *([said] if rank else []), part, rules, tokens_share]
    return f"{symbols(owner)} ({', '.join(filter(None, facts))})"


def symbols(route: Route) -> str:
    """The matrices of an operator in the order of the product, `Q P` or `B`, and its kind if they do not tell it."""
    name = str(kind_of("fac.feedback", route.matrix).name)
    # What no rule may move is no factor of a product: where entries stand, what is added to an error.
    sparse = any(t.below is not None for t in route.tensors)
    what = {t.part: "masked " if t.mask else "sparse " if sparse else "" for t in route.tensors}
    names = [f"{what[t.part]}{t.part}" for t in reversed(route.tensors) if t.trainable]
    return " ".join(names if names and name in LETTERS else [name, *names])


def learning(matrix: Matrix) -> list[str]:
    """Names of the rules by which an operator's matrices change."""
    return [rule_name(rule) for rule in learning_rules(matrix)]


def learning_rules(matrix: Matrix) -> list[Learning]:
    """The rules by which an operator's matrices change, in the order in which its kind lists them."""
    return list(kind_of("fac.feedback", matrix).learning(matrix).values())


def rule_name(rule: Learning) -> str:
    """What a rule by which a matrix changes is called."""
    return str(kind_of("fac.learning", rule).name)
