"""Source of `step.py`: what a person would write who knows the network by heart."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from fac.backend import Compiled, HostTask, docstring
from fac.diagnostics import FacError
from fac.step.collecting import uncollected
from fac.step.feed import fed
from fac.step.ir import Function, Phase, Value
from fac.step.scalars import constants, host_scalars
from fac.step.types import Batch, DType
from fac_torch.narrow import NARROW_PRODUCTS
from fac_torch.passes import written
from fac_torch.statements import SLOTS, Statement
from fac_torch.storage import Layout, Place, layout
from fac_torch.templates import TEMPLATES, Line, Memory

RESERVED = frozenset(
    {
        "S",
        "B",
        "n",
        "torch",
        "math",
        "kernels",
        "min",
        "max",
        "abs",
        "round",
        "float",
        "int",
        "bool",
        "len",
        "tile",
        "samples",
    }
)
NUMBERS = {"step": "t", "lr": "lr"}
"""What a step is given beside state and batch, and how it is called."""
KERNELS = "from fac_torch import kernels"
"""How the source finds the kernels module inside a process; a written artifact carries a copy beside it."""


@uncollected()
def source(compiled: Compiled, precision: str, kernels: str = KERNELS, *, probe: bool = True) -> str:
    """The whole module.

    Args:
        compiled: the functions.
        precision: for the header; the tensors decide what is computed.
        kernels: the import line of the kernels module.
        probe: whether the probe is in it, see `probe_source`.
    """
    step = Emitter(compiled.step, True, compiled.disabled)
    result = "loss" if len(compiled.losses) == 1 else "losses"
    called = f"{result} = step({step.arguments()})"
    title = docstring(compiled.name)
    header = (
        f'"""{title}: forward, evaluate, step and probe.\n\n'
        f"Made by fac {compiled.version} from spec {compiled.spec_hash}, {precision}. S maps names to tensors;\n"
        "B is a workspace for batches of n samples; `step` moves S in place.\n\n"
        "    torch.set_flush_denormal(True)  # as in a session, before anything else: errors near 0 cost no time\n"
        "    S = kernels.load_state('state.safetensors')\n"
        "    B = workspace(S, n)\n"
        f"    {called}  # t counts from 0, lr is yours to schedule;\n"
        f"    {' ' * len(called)}  # {_types(compiled)}\n"
        f"{_TASKS if compiled.tasks else ''}"
        f"{_anchored(compiled)}"
        '"""\n\n'
    )
    imports = f"import math\n\nimport torch\n\n{kernels}\n\n"
    step_source = step.source()
    rest = [Emitter(f, False, compiled.disabled).source() for f in (compiled.forward, compiled.evaluate)]
    if probe:
        rest.append(probe_source(compiled))
    parts = [step.workspace(), step_source, *between(compiled.tasks), *rest]
    return header + imports + "\n\n".join(parts)


@uncollected()
def probe_source(compiled: Compiled) -> str:
    """The probe alone, for the names that the module has."""
    return Emitter(compiled.probe, False, compiled.disabled).source()


@uncollected()
def step_source(compiled: Compiled) -> str:
    """The step with `lr` and `t` as tensors on the device, of float64 and int64, for the names that the module has."""
    return Emitter(compiled.step, True, compiled.disabled, numbers_move=True).source()


def graph_source(compiled: Compiled) -> str:
    """The same as `torch.compile` takes it: which plans memory itself, so that nothing has a place in the workspace.

    Nor have the tensors of a narrower type that rounded products go by: those of float32 are rounded. So its updates
    have other settings than those of the module.
    """
    disabled = compiled.disabled | {NARROW_PRODUCTS.name}
    step = Emitter(compiled.step, True, disabled, numbers_move=True, in_graph=True)
    return step.constants() + step.source()


def _types(compiled: Compiled) -> str:
    """What the arrays of a batch hold."""
    whole = [feed.name for feed in compiled.inputs if feed.classes is not None]
    real = [feed.name for feed in compiled.inputs if feed.classes is None]
    said = [f"{', '.join(real)} in the type of S"] if real else []
    return ", ".join([*said, *whole, "labels int64"])


_MAPPED = (
    "# 'last': a map that has all channels of a pixel together in memory, as convolutions want it, whatever its shape\n"
    "# says. So are MAPS of the state, and {batch}.\n"
)
_PIECES = "# (slot, shape, k): behind k pieces of that shape, in a slot where the rows of several steps lie together.\n"
LAST = ", 'last'"
NARROW = ", 'bfloat16'"
_NARROW = (
    "# 'bfloat16': in a tensor of that type, where the machine multiplies in it; see kernels.narrow_type.\n"
)


def _anchored(compiled: Compiled) -> str:
    """Which steps are made by another module."""
    if compiled.anchor is None:
        return ""
    name = compiled.anchor.step.name
    return (
        f"\nWhere (t + 1) % {compiled.anchor.every} == 0, `{name}.step` is called in the place of `step`, with "
        f"`{name}.workspace(S, n)` for B.\n"
    )


_TASKS = "    between(S, t)                   # after each step\n"


def between(tasks: tuple[HostTask, ...]) -> list[str]:
    """The function that does what the core does between steps of a session, if there is anything to do.

    Raises:
        FacError: a task that has no form in torch, so that a written artifact would leave it out.
    """
    lines: list[str] = []
    for task in tasks:
        if task.kind != "svd":
            raise FacError(f"the torch backend cannot write what `{task.kind}` does between steps")
        weight, p, q = (f"S[{name!r}]" for name in (*task.reads, *task.writes))
        turned = f".movedim({task.axis}, 0)" if task.axis else ""
        lines.append(
            f"    if (t + 1) % {task.every} == 0:\n        kernels.svd_pair({weight}{turned}, {p}, {q})\n"
        )
    doc = '    """What happens after step number t: feedback factors set anew from their weights."""\n'
    return ["@torch.inference_mode()\ndef between(S, t):\n" + doc + "".join(lines)] if lines else []


@dataclass
class Emitter:
    """One function.

    `buffered` puts every tensor of the step in the workspace B; else torch allocates. `numbers_move` makes tensors of
    the numbers that a step is given, so that who calls it again without Python may change them.
    """

    function: Function
    buffered: bool
    disabled: frozenset[str] = frozenset()
    """The names of passes that are left out."""
    numbers_move: bool = False
    in_graph: bool = False
    """Whether a step allocates what it makes: of B there are but the tiles of updates."""

    def __post_init__(self) -> None:
        function = self.function
        self.batch = [v for v in function.inputs if fed(v)]
        self.state = [v for v in function.inputs if not fed(v) and v.name not in NUMBERS]
        self.host = host_scalars(function, inputs=not self.numbers_move)
        self.moving = host_scalars(function) - self.host
        """Numbers on the device: in double precision, as Python would compute them."""
        self.literals = {value: repr(number) for value, number in constants(function).items()}
        self.literals |= {op.result: "n" for op in function.ops if op.kind == "batch_size"}
        draft = written(function, self.literals, self.disabled, moves=self.buffered)
        self.lines, self.maps, self.narrow = draft.lines, draft.maps, draft.narrow
        self.layout = (
            layout(self.lines, {v for _, v in function.outputs}, self.narrow)
            if self.buffered and not self.in_graph
            else Layout({}, (), {}, {})
        )
        self.names = _names(function, self.lines)
        floats = (v for v in (*self.batch, *self.state) if v.type.dtype is DType.FLOAT)
        self.like = self.names[next(floats, self.batch[0])]
        self.settings: dict[str, str] = {}
        taken = dict.fromkeys(self.names.values(), 1)
        for line in self.lines:
            if line.kind in OPTIMISERS and _settings(line) not in self.settings:
                name = _unique(line.kind.removesuffix("_outer").upper(), taken)
                self.settings[_settings(line)] = name

    def source(self) -> str:
        """The function's text."""
        lines, texts = self.lines, [self._text(line) for line in self.lines]
        body: list[str] = [f"    {self.names[v]} = S[{v.name!r}]" for v in self.state]
        if self.buffered:
            body.append(f"    kernels.check_batch(B, {self.names[self.batch[0]]})")
        if any(re.search(r"\bn\b", text) for text in (*texts, self._returned())):
            body.append(f"    n = len({self.names[self.batch[0]]})")
        group = ""
        for line, text in zip(lines, texts, strict=True):
            here = "forward" if line.origin.phase is Phase.FORWARD else line.origin.node
            if here != group:
                body.append(f"    # {here}")
                group = here
            body.append(f"    {text}{_comment(line.results)}")
            if line in self.layout.dropped:
                body.append(f"    del {', '.join(self.names[v] for v in self.layout.dropped[line])}")
        body.append(f"    return {self._returned()}")
        name = self.function.name
        said = DOCS["losses" if name == "step" and len(self.losses) > 1 else name]
        return (
            f"@torch.inference_mode()\ndef {name}({self.arguments()}):\n"
            f'    """{said}"""\n' + "\n".join(body) + "\n"
        )

    def workspace(self) -> str:
        """The table of buffers, and the function that makes them."""
        rows = [
            f"    {self.names[value]!r}: ({place.slot}, {_table_shape(value)}{self._where(value, place)}),"
            for value, place in self.layout.places.items()
        ]
        narrowed = any(value in self.narrow for value in self.layout.places)
        given = [repr(v.name) for v in self.function.inputs if v in self.maps]
        tiled = tuple(line.updates[0].name for line in self.lines if line.kind.endswith("_outer"))
        like = self.state[0].name
        return (
            "# name: (slot, shape). Names that share a slot are never alive together.\n"
            + (_MAPPED.format(batch=", ".join(self.names[v] for v in self.batch[:1])) if given else "")
            + (_PIECES if any(place.before for place in self.layout.places.values()) else "")
            + (_NARROW if narrowed else "")
            + "BUFFERS = {\n"
            + "\n".join(rows)
            + "\n}\n"
            + (f"MAPS = ({', '.join(given)},)\n" if given else "")
            + (f"TILED = {tiled!r}\n" if tiled else "")
            + self.constants()
            + "\n\n"
            "def workspace(S, n):\n"
            '    """Buffers for batches of n samples, in the type and on the device of the state."""\n'
            + ("    kernels.lay_out(S, MAPS)\n" if given else "")
            + f"    B = kernels.buffers(BUFFERS, n, like=S[{like!r}])\n"
            + ("    B.tile = kernels.tile(S, TILED)\n" if tiled else "")
            + "    return B\n"
        )

    def constants(self) -> str:
        """What its updates are set to."""
        return "".join(f"{name} = {text}\n" for text, name in self.settings.items())

    def _where(self, value: Value, place: Place) -> str:
        """How a value lies in its slot, if not row by row from the start."""
        if value in self.maps:
            return LAST
        if value in self.narrow and not place.before:
            return NARROW
        return f", {place.before}" if place.before else ""

    def _text(self, line: Statement) -> str:
        arguments = tuple(self._given(v, line) for v in line.operands)
        host = tuple(v in self.host for v in line.operands)
        settings = self.settings[_settings(line)] if line.kind in OPTIMISERS else ""
        like = NUMBERS["lr"] if line.result in self.moving else self.like
        text = TEMPLATES[line.kind].text(Line(line, arguments, host, settings, like))
        if line.result is None:
            return text
        name = self.names[line.result]
        if line.updates:
            text = f"{text[:-1]}, out={self.names[line.updates[0]]})"
        elif TEMPLATES[line.kind].memory is Memory.ROWS:
            text = f"torch.cat(({', '.join(arguments)}))" if self.in_graph else f"{text}.{name}"
        elif line.result in self.layout.over:
            text = f"{text[:-1]}, out={self.names[self.layout.over[line.result]]})"
        elif line.result in self.layout.places:
            text = f"{text[:-1]}, out=B.{name})"
        return f"{', '.join(self.names[v] for v in line.results)} = {text}"

    def _given(self, value: Value, line: Statement) -> str:
        """An operand. A number on the device goes among tensors in their type, as one of Python's would."""
        name = self._argument(value)
        among = value in self.moving and line.result not in self.moving and line.kind not in OPTIMISERS
        return f"{name}.to({self.like}.dtype)" if among and value.type.dtype is DType.FLOAT else name

    def _argument(self, value: Value) -> str:
        return self.literals.get(value) or self.names[value]

    def arguments(self) -> str:
        """Of the function: state, workspace, batch, numbers."""
        batch = [self.names[v] for v in self.batch]
        if self.function.name == "step":
            return ", ".join(["S", "B", *batch, NUMBERS["lr"], NUMBERS["step"]])
        return ", ".join(["S", *batch, *([NUMBERS["step"]] if self.function.name == "probe" else [])])

    @property
    def losses(self) -> tuple[tuple[str, Value], ...]:
        """What a step returns: all that it makes beside new state."""
        state = {v.name for v in self.function.inputs}
        return tuple((name, value) for name, value in self.function.outputs if name not in state)

    def _returned(self) -> str:
        outputs = self.function.outputs
        if self.function.name == "step":
            outputs = self.losses
        if self.function.name == "forward" or (self.function.name == "step" and len(outputs) == 1):
            return self._argument(outputs[0][1])
        pairs = [f"{name!r}: {self._argument(value)}" for name, value in outputs]
        return "{\n        " + ",\n        ".join(pairs) + ",\n    }"


OPTIMISERS = frozenset(name for kernel in SLOTS for name in (kernel, f"{kernel}_outer"))
DOCS = {
    "step": "Step number t (from 0) on the batch (x, y): moves S in place, returns the loss before the update.",
    "losses": "Step number t (from 0) on a batch: moves S in place, returns each loss before it, and the sum.",
    "forward": "The network's output for x.",
    "evaluate": "Loss and, for classification, the number of hits.",
    "probe": "Measurements on the batch (x, y); changes nothing.",
}


def _names(function: Function, lines: list[Statement]) -> dict[Value, str]:
    """Python names: those of the IR with dots as underscores, unique."""
    names: dict[Value, str] = {}
    taken = dict.fromkeys((*RESERVED, *NUMBERS.values()), 1)
    names |= {v: NUMBERS[v.name] for v in function.inputs if not fed(v) and v.name in NUMBERS}
    made = [*(op.result for op in function.ops), *(v for line in lines for v in line.results)]
    for value in dict.fromkeys([*function.inputs, *made]):
        if value in names:
            continue
        base = re.sub(r"\W", "_", value.name)
        # A layer may be called `2nd`, `class` or `__class__`.
        base = f"v{base}" if base[0] in "_0123456789" or keyword.iskeyword(base) else base
        names[value] = _unique(base, taken)
    return names


def _unique(base: str, taken: dict[str, int]) -> str:
    """`base`, numbered if it is taken; it is taken from then on. `taken` has the last number tried by name."""
    if base not in taken:
        taken[base] = 1
        return base
    count = taken[base] + 1
    while f"{base}_{count}" in taken:
        count += 1
    taken[base], name = count, f"{base}_{count}"
    taken[name] = 1
    return name


def _settings(line: Statement) -> str:
    return repr(dict(line.attributes))


def _comment(results: tuple[Value, ...]) -> str:
    shapes = [f"[{', '.join(map(str, v.type.shape))}]" for v in results if v.type.shape != ()]
    return f"  # {', '.join(shapes)}" if shapes else ""


def _table_shape(value: Value) -> str:
    parts = [
        repr("N" if d.times == 1 else f"{d.times}N") if isinstance(d, Batch) else str(d)
        for d in value.type.shape
    ]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
