"""Groups of ops that their writers have marked, as one call of a kernel: hashes, and updates, which work in place."""

from __future__ import annotations

from fac.step.ir import Function, Value
from fac.step.transform import Keeps, Pass
from fac_torch.draft import Draft, in_steps
from fac_torch.statements import SLOTS, Statement, is_outer, uses_of


def hashed(draft: Draft) -> Draft:
    """The forty integer ops of a hash as one call of a kernel, where the last of them stood."""
    marks = {r.outputs["bits"]: r for r in draft.function.regions if r.kind == "uniform_bits"}
    if not marks:
        return draft
    return draft.rewritten(
        [
            Statement("uniform_bits", (marks[v].inputs["step"],), marks[v].attributes, v, line.origin)
            if (v := line.result) is not None and v in marks
            else line
            for line in draft.lines
        ]
    )


def updated(draft: Draft) -> Draft:
    """The kernel of each marked update in the place of its ops, and of the copies of what they make."""
    kernels = _kernels(draft.function) if draft.moves else []
    done = {state for kernel in kernels for state in kernel.updates}
    made = [line for line in draft.lines if not line.updates]
    copies = [line for line in draft.lines if line.updates and done.isdisjoint(line.updates)]
    return draft.rewritten([*made, *kernels, *copies]) if kernels else draft


def _kernels(function: Function) -> list[Statement]:
    """A region whose results do not all replace the state that they come from cannot work in place: it stays ops."""
    moved = set(function.outputs)
    origins = {op.result: op.origin for op in function.ops}
    found: list[Statement] = []
    for region in function.regions:
        inputs, outputs = region.inputs, region.outputs
        if region.kind not in SLOTS or any((inputs[k].name, v) not in moved for k, v in outputs.items()):
            continue
        states = (inputs["parameter"], *(inputs[slot] for slot in SLOTS[region.kind] if slot in inputs))
        scalars = [inputs[key] for key in ("lr", "step") if key in inputs]
        operands = (*states, inputs["gradient"], *scalars)
        origin = origins[outputs["parameter"]]
        found.append(Statement(region.kind, operands, region.attributes, None, origin, states))
    return found


def factored(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """Where a kernel is the only reader of a gradient d^T h, give it d and h: the gradient is never kept."""
    uses, made = uses_of(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        position = len(line.updates)
        if line.kind in SLOTS:
            gradient = line.operands[position]
            product = made.get(gradient)
            if product is not None and uses[gradient] == 1 and is_outer(product):
                operands = (*line.updates, *product.operands, *line.operands[position + 1 :])
                line = Statement(
                    f"{line.kind}_outer", operands, line.attributes, None, line.origin, line.updates
                )
        found.append(line)
    return found


HASH_KERNEL = Pass("hash_kernel", hashed, Keeps.BITS, "the integer ops of each hash are one call of a kernel")
UPDATE_KERNELS = Pass(
    "update_kernels",
    updated,
    Keeps.ROUNDING,
    "each update by SGD, Adam or RMSprop is one kernel that moves its state in place",
)
FACTOR_UPDATES = Pass(
    "factor_updates",
    in_steps(factored),
    Keeps.ROUNDING,
    "a kernel of an update makes the gradient that it alone reads tile by tile, so that it never exists whole",
)
