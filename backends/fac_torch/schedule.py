"""The order of statements: each update as soon as nobody reads the old value any more."""

from __future__ import annotations

from dataclasses import replace

from fac.step.ir import Phase, Value
from fac_torch.statements import Statement
from fac_torch.storage import IN_PLACE


def schedule(lines: list[Statement]) -> list[Statement]:
    """After this, errors and gradients die early, so that few buffers hold them all.

    What feedback matrices learn is computed as soon as its operands are there.

    An update comes after the definitions of its operands and after every other reader of the state that it
    changes: a feedback line of a layer precedes its update line.
    """
    defined = {line.result: i for i, line in enumerate(lines) if line.result is not None}
    readers: dict[Value, list[int]] = {}
    for i, line in enumerate(lines):
        for value in line.operands:
            readers.setdefault(value, []).append(i)
    keys: list[tuple[int, int, int]] = []
    for i, line in enumerate(lines):
        if not line.updates and line.origin.phase is not Phase.LEARN:
            keys.append((i, 0, i))
            continue
        if not line.updates:
            keys.append((max((keys[defined[v]][0] for v in line.operands if v in defined), default=0), 1, i))
            continue
        after = [keys[defined[v]][0] for v in line.operands if v in defined]
        # Other updates may read this state too (normative feedback reads W): those go first, by their own keys.
        after += [keys[j][0] for v in line.updates for j in readers[v] if j != i and not lines[j].updates]
        keys.append((max(after, default=0), 1, i))
    order = sorted(range(len(lines)), key=keys.__getitem__)
    settled = _write_through(_settle([lines[i] for i in order]))
    _assert_old_values(settled)
    return settled


def _settle(lines: list[Statement]) -> list[Statement]:
    """Move an update behind later updates that still read what it changes."""
    settled = list(lines)
    for line in lines:
        if not line.updates:
            continue
        start = settled.index(line)
        changed = set(line.updates)
        late = [i for i in range(start + 1, len(settled)) if changed & set(settled[i].operands)]
        if late:
            settled.insert(late[-1], settled.pop(start))
    return settled


def _write_through(lines: list[Statement]) -> list[Statement]:
    """An elementwise op whose result is only copied into a state writes there at once, if nobody reads it later."""
    copies = {line.operands[1]: line for line in lines if line.kind == "copy"}
    uses = [value for line in lines for value in line.operands]
    direct: dict[Statement, Statement] = {}
    for i, line in enumerate(lines):
        copy = copies.get(line.result) if line.result is not None else None
        if copy is None or line.kind not in IN_PLACE or uses.count(copy.operands[1]) != 1:
            continue
        state = copy.operands[0]
        if all(state not in other.operands for other in lines[i + 1 :] if other is not copy):
            direct[line] = replace(line, updates=(state,))
            direct[copy] = direct[line]
    return [direct.get(line, line) for line in lines if not (line.kind == "copy" and line in direct)]


def _assert_old_values(lines: list[Statement]) -> None:
    """All updates of a step read the values from before the step."""
    changed: set[Value] = set()
    for line in lines:
        stale = changed.intersection(line.operands)
        assert not stale, f"`{line.kind}` reads `{next(iter(stale)).name}` after its update"
        changed.update(line.updates)
