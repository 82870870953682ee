"""Statements that one kernel of torch computes together. In the IR an op has one result, and a bias is a sum."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fac.step.ir import Value
from fac.step.ops import OPS
from fac.step.transform import Keeps, Pass
from fac_torch.draft import everywhere
from fac_torch.norm_kernels import is_batch_norm, is_layer_norm
from fac_torch.statements import Statement, uses_of
from fac_torch.views import roots


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel with several results: those of statements of these kinds on the same operands, in this order."""

    kind: str
    makes: tuple[str, ...]
    common: int
    """How many operands, from the first on, they have in common; the first kind may have more."""


TOGETHER = (
    Kernel("max_pool2d_with_index", ("max_pool2d", "max_pool2d_index"), 1),
    Kernel("normalize_moments", ("normalize", "mean", "variance"), 1),
    Kernel("normalize_back", ("normalize_input", "normalize_scale"), 4),
    Kernel("moments", ("mean", "variance"), 1),
)
"""In the order in which they are looked for."""


def several(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """The statements, with what a kernel makes in one go as one of them."""
    for kernel in TOGETHER:
        if {line.kind for line in lines}.issuperset(kernel.makes):
            lines = _merged(lines, kernel)
    shares = roots(lines)
    return [_placed(line, shares) for line in lines]


def _merged(lines: list[Statement], kernel: Kernel) -> list[Statement]:
    """One statement, where the first of them stood, for all that this kernel makes of the same operands."""
    groups: dict[object, list[Statement]] = {}
    made: dict[Value, int] = {}
    for i, line in enumerate(lines):
        made |= dict.fromkeys(line.results, i)
        if line.kind in kernel.makes and line.result is not None:
            groups.setdefault((line.operands[: kernel.common], _settings(line, kernel)), []).append(line)
    found: dict[Statement, Statement | None] = {}
    for group in groups.values():
        by_kind = {line.kind: line for line in reversed(group)}
        if by_kind.keys() != set(kernel.makes):
            continue
        first, *rest = (by_kind[kind] for kind in kernel.makes)
        place = min(by_kind.values(), key=lambda line: made[line.results[0]])
        # Whatever else it reads must be there: it might be made of one of the results.
        if any(made.get(v, -1) >= made[place.results[0]] for v in first.operands):
            continue
        also = tuple(line.result for line in rest if line.result is not None)
        attributes = {name: value for line in (*rest, first) for name, value in line.attributes.items()}
        found |= dict.fromkeys(by_kind.values())
        found[place] = replace(first, kind=kernel.kind, attributes=attributes, also=also)
    merged = (found.get(line, line) for line in lines)
    return [line for line in merged if line is not None]


def _settings(line: Statement, kernel: Kernel) -> object:
    """What has to be alike beside operands."""
    names = frozenset.intersection(*(OPS[kind].attributes for kind in kernel.makes))
    return tuple((name, line.attributes[name]) for name in sorted(names))


def _placed(line: Statement, shares: dict[Value, Value]) -> Statement:
    """A normalisation that a kernel of torch writes where it is told; that of batches takes numbers in a row."""
    if line.kind == "normalize_moments":
        x, *parts = line.operands
        if is_layer_norm(x.type.shape, parts[0].type.shape, line.attributes["axes"]):
            return replace(line, kind="layer_norm_moments")
        if is_batch_norm(x.type.shape, parts[0].type.shape, line.attributes["axes"]):
            rows = (shares.get(part, part) for part in parts)
            flat = (row if len(row.type.shape) == 1 else part for row, part in zip(rows, parts, strict=True))
            return replace(line, kind="batch_norm_moments", operands=(x, *flat))
    return line


def biased(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """A convolution whose one reader adds a number to each channel takes these numbers as its bias."""
    uses = uses_of(lines)
    made = {value: line for line in lines for value in line.results}
    shares = roots(lines)

    def with_bias(line: Statement) -> Statement:
        if line.kind != "add":
            return line
        product, added = line.operands
        convolution, bias = made.get(product), shares.get(added)
        if convolution is None or bias is None or convolution.kind != "conv2d" or uses[product] != 1:
            return line
        (_, channels, *_), shape = product.type.shape, added.type.shape
        if bias.type.shape != (channels,) or shape not in ((channels, 1, 1), (1, channels, 1, 1)):
            return line
        return replace(convolution, operands=(*convolution.operands, bias), result=line.result)

    return [with_bias(line) for line in lines]


def pools_back(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """An error that goes to where a pool found its numbers has a kernel of its own, which wants to see the map too."""
    index = {line.result: line for line in lines if line.kind == "max_pool2d_index"}

    def back(line: Statement) -> Statement:
        pool = index.get(line.operands[1]) if line.kind == "unpick" else None
        if pool is None or line.result is None or pool.operands[0].type != line.result.type:
            return line
        error, at = line.operands
        return replace(
            line, kind="max_pool2d_back", operands=(error, *pool.operands, at), attributes=pool.attributes
        )

    return [back(line) for line in lines]


CONV_BIAS = Pass(
    "conv_bias",
    everywhere(biased),
    Keeps.ROUNDING,
    "a convolution whose one reader adds a number to each channel takes these as its bias",
)
POOL_BACK = Pass(
    "pool_back",
    everywhere(pools_back),
    Keeps.ROUNDING,
    "an error that goes to where a max pool found its numbers does so by a kernel of its own",
)
SEVERAL_RESULTS = Pass(
    "several_results",
    everywhere(several),
    Keeps.ROUNDING,
    "what one kernel makes in one go is one call: a pool and its places, a normalisation and its moments",
)
