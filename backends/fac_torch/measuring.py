"""What probes measure, as calls of one kernel each in the place of the ops that their writers have marked."""

from __future__ import annotations

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac_torch.draft import Draft
from fac_torch.statements import Statement

KINDS = frozenset({"captured_energy", "cosine", "norm_ratio", "sample_cosine", "sample_cosine_sd"})
BOTH = ("sample_cosine", "sample_cosine_sd")
"""What one kernel makes of the same tensors, where both are asked for."""


def measured(draft: Draft) -> Draft:
    """The kernel of each measure where the last of its ops stood; ops that others read as well stay for these."""
    kernels: dict[Value, Statement] = {}
    makers: dict[object, Statement] = {}
    origins = {value: line.origin for line in draft.lines for value in line.results}
    for region in draft.function.regions:
        if region.kind not in KINDS:
            continue
        (made,) = region.outputs.values()
        operands = tuple(region.inputs.values())
        first = makers.get((operands, *region.attributes.items())) if region.kind == BOTH[1] else None
        if made not in origins or made in kernels:
            continue  # nobody reads it, or it is marked twice
        line = Statement(region.kind, operands, region.attributes, made, origins[made])
        kernels[made] = line
        if region.kind == BOTH[0]:
            makers[operands, *region.attributes.items()] = line
        elif first is not None and first.result is not None:
            both = Statement(
                "sample_cosines", operands, region.attributes, first.result, first.origin, also=(made,)
            )
            kernels[first.result] = kernels[made] = both
    placed = dict[Statement, None]()
    for line in draft.lines:
        found = line if line.result is None else kernels.get(line.result, line)
        placed[found] = None  # what makes both stands where the first of them stood
    return draft.rewritten([*placed]) if kernels else draft


MEASURES = Pass(
    "measure_kernels",
    measured,
    Keeps.ROUNDING,
    "a cosine, its mean over samples, a ratio of norms and a share of energy are one call each",
)
