"""Sparse direct feedback as gathers: of each row the entries that a mask keeps, and their columns.

Crafton, Parihar, Gebhardt and Raychowdhury 2019 (arXiv 1903.02083). B [n, C] with s entries in each row is kept as
entries [n, s] and columns [n, s]; E = e B^T takes N s n multiply-adds, where B whole takes N C n, and 2 s n words.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from fac.program.kinds import Signals
from fac.program.program import Ends
from fac.program.tensors import Columns, Entries, Products, Role, Tensor
from fac.spec.feedback import Fixed, Learning
from fac.spec.init import Init, Mask, PerUnit
from fac.step.builder import Builder
from fac.step.ir import Value

FEW = 8
"""Entries in a row up to which gathers are worth while; with more B is stored whole, unless it learns."""
COLUMNS = "columns"


def is_sparse(mask: Mask | None, learn: Learning, ends: Ends) -> PerUnit | None:
    """The mask, if it makes gathers of a matrix: on a `to` route, with few entries in a row or with some that learn."""
    if ends.weight is not None or not isinstance(mask, PerUnit):
        return None
    few = mask.per_unit <= FEW or mask.rank is not None or not isinstance(learn, Fixed)
    return mask if few else None


def tensors(mask: PerUnit, whole: Tensor, law: Init) -> tuple[Tensor, ...]:
    """The entries and the columns of a matrix [writes, reads]."""
    writes, reads = whole.shape
    shape = (writes, mask.per_unit)
    name, chosen = f"{whole.name.rpartition('.')[0]}.{COLUMNS}", Columns(whole.name, reads, mask.rank)
    columns = Tensor(name, shape, chosen, role=Role.FEEDBACK, trainable=False)
    start = Entries(law, columns) if mask.rank is None else Products(law, mask.rank)
    return replace(whole, shape=shape, init=start, mask=None), columns


def crafton(mask: PerUnit, ends: Ends) -> float:
    """The fan of the law `crafton` for s entries in a row: U(-h, h) with h = (C s)^(1/4) / sqrt(n)."""
    return ends.writes / sqrt(ends.reads * mask.per_unit)


def sent(b: Builder, entries: Value, columns: Value, signals: Signals) -> Value:
    """[places, n]: sum over k of v[i, k] e[:, c[i, k]]."""
    return b.emit("sparse_matmul", signals.error, entries, columns)


def taught(b: Builder, columns: Value, signals: Signals) -> Value:
    """[n, s]: of the gradient e^T H of a full matrix what belongs to the entries, H the value that is fed."""
    assert signals.way is not None
    return b.emit("sparse_matmul_values", signals.way.x, signals.error, columns)


def whole(b: Builder, entries: Value, columns: Value, reads: int) -> Value:
    """B [n, C], zeros included."""
    rows = b.emit("sparse_matmul", b.eye(reads), entries, columns)
    return b.transpose(rows, (1, 0))
