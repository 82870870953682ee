"""A function of the step IR as an ONNX model: standard ops, opset 21, symbolic batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onnx import ModelProto, checker, helper, shape_inference

from fac.step.collecting import uncollected
from fac.step.feed import fed
from fac.step.ir import Function, Op, Phase, Value
from fac.step.scalars import constants, host_scalars
from fac.step.transform import transformed
from fac.step.types import Batch, Dim, DType, Shape, numel
from fac_onnx.draft import Draft, Gemm, Line, Split
from fac_onnx.graph import BOOL, DOUBLE, FLOAT, INT64, UINT32, Graph, info
from fac_onnx.passes import PASSES
from fac_onnx.templates import TEMPLATES

OPSET, IR = 21, 10
"""The oldest pair with all that is needed (onnx 1.16, onnxruntime 1.18), so that most runtimes take it. Later opsets
have lost CPU kernels, and what onnx writes by default is more than onnxruntime reads."""
NEXT = ".next"
"""What the name of a state has behind it where a step returns it."""


@uncollected()
def model(
    function: Function, precision: str, metadata: Mapping[str, str], disabled: Collection[str] = ()
) -> ModelProto:
    """The model, checked: our types of all values against ONNX's own inference.

    Args:
        function: made of ops that have templates.
        precision: of FLOAT values.
        metadata: goes into `metadata_props`.
        disabled: the names of passes that are left out.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: a defect of the emitter.
    """
    return Emitter(function, precision, disabled).model(metadata)


class Emitter:
    """One function. Templates ask it for the names and types of values."""

    def __init__(self, function: Function, precision: str, disabled: Collection[str] = ()) -> None:
        self.function = function
        self.float = DOUBLE if precision == "float64" else FLOAT
        self.graph = Graph()
        self.known = constants(function)
        self.host = host_scalars(function)
        draft = transformed(Draft(function, self.float == DOUBLE, [*function.ops]), PASSES, disabled)
        self.lines, self.narrow = draft.lines, draft.narrow
        self.names: dict[Value, str] = {}
        self.casts: dict[tuple[str, int], str] = {}
        self.counts: dict[tuple[int, bool], str] = {}
        self.twins: dict[object, tuple[str, ...]] = {}
        """The outputs of nodes that make the results of several ops, by what they are made of."""
        self.outputs: list[str] = []
        self.copies: list[tuple[Value, str]] = []
        """Outputs that need a node of their own: another output's value, or an input."""
        self._name_all()

    # -- names -----------------------------------------------------------------------------------------------

    def _name_all(self) -> None:
        """Inputs keep their names, outputs get theirs, and the rest is unique beside them."""
        inputs = {v.name for v in self.function.inputs}
        for value in self.function.inputs:
            self.names[value] = self.graph.unique(value.name)
        for name, value in self.function.outputs:
            wished = self.graph.unique(name + NEXT if name in inputs else name)
            self.outputs.append(wished)
            if value in self.names or value in self.known or self.dtype(value) != self._public(value):
                self.copies.append((value, wished))
            else:
                self.names[value] = wished
        made = (line.result for line in self.lines if not isinstance(line, Split))
        for value in (*(op.result for op in self.function.ops), *made):
            if value not in self.names and value not in self.known:
                self.names[value] = self.graph.unique(value.name)

    def _public(self, value: Value) -> int:
        """The element type of an output."""
        return {DType.FLOAT: self.float, DType.INT: INT64, DType.BOOL: BOOL}[value.type.dtype]

    def _doubled(self, value: Value) -> bool:
        """Whether a scalar is computed in double precision in a graph of float32."""
        return self.float == FLOAT and value in self.host and value.type.dtype == DType.FLOAT

    # -- what templates ask ----------------------------------------------------------------------------------

    def dtype(self, value: Value) -> int:
        """The element type in which a value is computed."""
        if value.type.dtype == DType.BOOL:
            return BOOL
        if value.type.dtype == DType.INT:
            return UINT32 if value in self.narrow else INT64
        return DOUBLE if self._doubled(value) and value not in self.function.inputs else self.float

    def name(self, value: Value, dtype: int | None = None) -> str:
        """The name of a value, in another type if asked: a constant of that type, or a cast."""
        wanted = self.dtype(value) if dtype is None else dtype
        if value in self.known:
            return self.graph.constant(self.known[value], wanted)
        name = self.names[value]
        if wanted == self.dtype(value):
            return name
        if (name, wanted) not in self.casts:
            cast = self.graph.unique(f"{name}.cast")
            self.casts[name, wanted] = self.graph.node(
                "Cast", [name], cast, wanted, value.type.shape, to=wanted
            )
        return self.casts[name, wanted]

    def operands(self, op: Op) -> list[str]:
        """The names of the operands, those of one kind of number in one type: floats in that of a float result."""
        scalars = DOUBLE if all(v in self.host for v in op.operands) else self.float
        types = {
            DType.FLOAT: self.dtype(op.result) if op.result.type.dtype == DType.FLOAT else scalars,
            DType.INT: UINT32 if op.result in self.narrow or self._compares_bits(op) else INT64,
            DType.BOOL: BOOL,
        }
        return [self.name(v, types[v.type.dtype]) for v in op.operands]

    def _compares_bits(self, op: Op) -> bool:
        """Whether an op compares the hash's results with a number of 32 bits: the one reader that dropout has."""
        narrow = [v for v in op.operands if v in self.narrow]
        known = [self.known[v] for v in op.operands if v in self.known]
        return (
            op.result.type.dtype == DType.BOOL
            and len(narrow) == 1
            and len(known) == 1
            and 0 <= known[0] < 2**32
        )

    def node(self, onnx_op: str, inputs: Sequence[str], op: Op | Gemm, **attributes: Any) -> str:
        """The node that makes the result of an op."""
        name = self.names[op.result]
        return self.graph.node(
            onnx_op, inputs, name, self.dtype(op.result), op.result.type.shape, **attributes
        )

    def part(
        self,
        onnx_op: str,
        inputs: Sequence[str],
        op: Op | Gemm,
        name: str,
        dtype: int,
        shape: Sequence[Dim],
        **attributes: Any,
    ) -> str:
        """A node on the way to the result of an op, under its name."""
        unique = self.graph.unique(f"{self.names[op.result]}.{name}")
        return self.graph.node(onnx_op, inputs, unique, dtype, shape, **attributes)

    def alias(self, op: Op, name: str) -> str:
        """The result of an op is a value that is there already."""
        if any(value is op.result for _, value in self.function.outputs):
            return self.node("Identity", [name], op)
        self.names[op.result] = name
        return name

    def scalar(self, number: object, op: Op) -> str:
        """A constant in the type of an op's result."""
        return self.graph.constant(number, self.dtype(op.result))

    def samples(self, times: int = 1, *, vector: bool = False) -> str:
        """`times * N` as INT64, read off the batch; a vector of length 1 if asked."""
        key = (times, vector)
        extra: dict[str, Any]
        if key not in self.counts:
            shape = (1,) if vector else ()
            if times > 1:
                factor = self.graph.constant(times, INT64)
                node, inputs, extra = "Mul", [self.samples(vector=vector), factor], {}
            elif vector:
                batch = next(v for v in self.function.inputs if fed(v))
                node, inputs, extra = "Shape", [self.names[batch]], {"start": 0, "end": 1}
            else:
                axis = self.graph.constant([0], INT64)
                node, inputs, extra = "Squeeze", [self.samples(vector=True), axis], {}
            name = self.graph.unique(f"{times}N" if times > 1 else "N")
            self.counts[key] = self.graph.node(node, inputs, name, INT64, shape, **extra)
        return self.counts[key]

    def target(self, op: Op, shape: Shape) -> str:
        """A shape as a vector of INT64, computed where it depends on N."""
        if not any(isinstance(dim, Batch) for dim in shape):
            return self.graph.constant(list(shape), INT64)
        parts = [
            self.samples(dim.times, vector=True)
            if isinstance(dim, Batch)
            else self.graph.constant([dim], INT64)
            for dim in shape
        ]
        return self.part("Concat", parts, op, "shape", INT64, (len(shape),), axis=0)

    # -- the model -------------------------------------------------------------------------------------------

    def model(self, metadata: Mapping[str, str]) -> ModelProto:
        """The checked model."""
        for line in self.lines:
            self.graph.note = _note(line)
            if isinstance(line, Gemm):
                self._gemm(line)
            elif isinstance(line, Split):
                self._split(line)
            elif line.result not in self.known:
                TEMPLATES[line.kind](self, line)
        self.graph.note = ""
        for value, wished in self.copies:
            kind = self._public(value)
            self.graph.node("Identity", [self.name(value, kind)], wished, kind, value.type.shape)
        return self._checked(metadata)

    def _gemm(self, line: Gemm) -> None:
        a, b = (self.name(v, self.float) for v in (line.a, line.b))
        if line.scale is not None:
            scale = self.name(line.scale, self.float)
            if _smaller(line.a, line.b):
                a = self.part("Mul", [a, scale], line, "scaled", self.float, line.a.type.shape)
            else:
                b = self.part("Mul", [b, scale], line, "scaled", self.float, line.b.type.shape)
        c = [] if line.c is None else [self.name(line.c, self.float)]
        factors = {"alpha": line.alpha, "beta": line.beta, "transA": int(line.ta), "transB": int(line.tb)}
        attributes = {k: v for k, v in factors.items() if v != (1.0 if k in ("alpha", "beta") else 0)}
        self.node("Gemm", [a, b, *c], line, **attributes)

    def _split(self, line: Split) -> None:
        first, *others = [(self.names[v], self.float, v.type.shape) for v in line.results]
        sizes = self.graph.constant([v.type.shape[0] for v in line.results], INT64)
        name, dtype, shape = first
        self.graph.node("Split", [self.name(line.whole), sizes], name, dtype, shape, others, axis=0)

    def _checked(self, metadata: Mapping[str, str]) -> ModelProto:
        inputs = [info(v.name, self.dtype(v), v.type.shape) for v in self.function.inputs]
        graph = self.graph.finish(self.function.name, inputs, self.outputs)
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="fac"
        )
        helper.set_model_props(made, dict(metadata))
        check(made)
        return made


def check(made: ModelProto) -> None:
    """ONNX's own checks; its inference has to come to our types of all values.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: a defect of the emitter.
    """
    checker.check_model(made)
    shape_inference.infer_shapes(made, check_type=True, strict_mode=True, data_prop=True)


def _note(line: Line) -> str:
    """What the node is for, which viewers show."""
    phase = "feedback learning" if line.origin.phase is Phase.LEARN else str(line.origin.phase)
    return f"{phase} of {line.origin.node}" if line.origin.node else phase


def _smaller(a: Value, b: Value) -> bool:
    """Whether A has no more numbers than B, for batches of about a hundred."""
    return numel(a.type.shape, 128) <= numel(b.type.shape, 128)
