"""The content of an ONNX file, or one message that says why it cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper
from onnx.defs import onnx_opset_version

from fac.diagnostics import FacError
from fac_onnx.parameters import LIMIT

OLDEST = 13
"""The first opset in which `Squeeze`, `Split` and `ReduceSum` read their axes, and `Softmax` goes along one axis."""
FLOATS = TensorProto.FLOAT, TensorProto.DOUBLE
WHOLE = TensorProto.INT64, TensorProto.INT32
STANDARD = "", "ai.onnx"
LOOPS = frozenset({"If", "Loop", "Scan"})
QUANTISED = frozenset(
    {
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    }
)
Beside = Callable[[str], bytes]
"""The bytes of a file that lies beside the model."""


def parsed(content: bytes, place: str, beside: Beside) -> ModelProto:
    """A model with its arrays, those that lie in other files too.

    Raises:
        FacError: it is no ONNX file, damaged, or nothing that could be imported.
    """
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise FacError(f"{place} is no ONNX file, or a damaged or incomplete one") from error
    if not model.ir_version or not model.graph.node:
        raise FacError(f"{place} is no ONNX file: it holds no graph with operations")
    _require_text(model, place)
    _require_versions(model, place)
    size = 0
    for tensor in _tensors(model.graph):
        _bring(tensor, place, beside)
        _require_numbers(tensor, place)
        size += len(tensor.raw_data)
        if size > LIMIT:
            raise FacError(
                f"{place} holds more than {LIMIT:,} bytes of arrays, which is the most that is read"
            )
    _require_operations(model, place)
    _require_order(model, place)
    return model


def entry(model: ModelProto, place: str) -> tuple[ValueInfoProto, ValueInfoProto]:
    """The one input of a model that is no parameter, and the one output.

    Raises:
        FacError: there are several, or the output holds no real numbers.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise FacError(
            f"{place} reads {_named(inputs)} and returns {_named(model.graph.output)}; a network here has one input "
            "and one output: export it as one that has"
        )
    output = model.graph.output[0]
    if output.type.tensor_type.elem_type not in FLOATS:
        raise FacError(
            f"`{output.name}` of {place} holds {_type(output)}; a network here returns float32 or float64"
        )
    return inputs[0], output


def shape(value: ValueInfoProto, given: Sequence[int] | None, place: str) -> tuple[int, ...]:
    """Of a sample that a model reads.

    Args:
        value: the input.
        given: what the user says; the model may leave sizes open.
        place: of the model.

    Raises:
        FacError: the two disagree, or a size is open and not given.
    """
    kind = value.type.tensor_type
    if kind.elem_type not in FLOATS and kind.elem_type not in WHOLE:
        raise FacError(
            f"`{value.name}` of {place} holds {_type(value)}; a network here reads float32, float64 or whole numbers"
        )
    if not kind.HasField("shape"):
        raise FacError(f"{place} does not say how many axes `{value.name}` has: export it with its shape")
    sizes = [dim.dim_value or dim.dim_param or "?" for dim in kind.shape.dim]
    if len(sizes) < 2:
        raise FacError(
            f"`{value.name}` of {place} is {_sizes(sizes)}: it has no axis beside that of the samples"
        )
    if given is None:
        still = [size for size in sizes[1:] if not isinstance(size, int)]
        if still:
            raise FacError(
                f"`{value.name}` of {place} is {_sizes(sizes)}, and leaves sizes beside that of the batch open: give "
                "the shape of one sample, such as `--input 3x224x224`"
            )
        return tuple(size for size in sizes[1:] if isinstance(size, int))
    if len(given) != len(sizes) - 1 or any(
        isinstance(size, int) and size != wanted for size, wanted in zip(sizes[1:], given, strict=True)
    ):
        raise FacError(
            f"`{value.name}` of {place} is {_sizes(sizes)}, and no sample of it is {_sizes(given)}"
        )
    return tuple(given)


def _type(value: ValueInfoProto) -> str:
    if not value.type.HasField("tensor_type"):
        return "no tensor"
    kind = value.type.tensor_type.elem_type
    known = kind in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(kind)).lower() if known else f"numbers of an unknown type, {kind}"


def _sizes(sizes: Sequence[object]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _named(values: Sequence[ValueInfoProto]) -> str:
    names = ", ".join(f"`{value.name}`" for value in values[:5])
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return f"{len(values)} tensors ({names}{more})" if values else "no tensor"


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _bring(tensor: TensorProto, place: str, beside: Beside) -> None:
    """Into the model what lies in another file."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return
    where: Mapping[str, str] = {item.key: item.value for item in tensor.external_data}
    try:
        start, length = int(where.get("offset", 0)), int(where["length"]) if "length" in where else None
    except ValueError as error:
        raise FacError(
            f"{place} does not say where in `{where.get('location')}` `{tensor.name}` is"
        ) from error
    whole = beside(where.get("location", ""))
    content = whole[start:] if length is None else whole[start : start + length]
    if start < 0 or (length is not None and len(content) != length):
        raise FacError(
            f"`{where.get('location')}`, in which {place} keeps `{tensor.name}`, ends before that: it is incomplete, "
            "or that of another model"
        )
    tensor.raw_data = content
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _require_text(model: ModelProto, place: str) -> None:
    """Names are text; protobuf gives what is none as bytes."""
    graph = model.graph
    names: list[object] = [t.name for t in graph.initializer]
    names += [v.name for v in (*graph.input, *graph.output)]
    names += [item.domain for item in model.opset_import]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [text for item in node.metadata_props for text in (item.key, item.value)]
        names += [attribute.name for attribute in node.attribute]
    if any(isinstance(name, bytes) for name in names):
        raise FacError(f"{place} is damaged: it holds names that are no text")


def _require_numbers(tensor: TensorProto, place: str) -> None:
    """As many as the shape of an array has."""
    try:
        numpy_helper.to_array(tensor)
    except Exception as error:  # of what kind depends on what is wrong
        raise FacError(
            f"{place} is damaged: `{tensor.name}` {[*tensor.dims]} does not hold its numbers"
        ) from error


def _require_versions(model: ModelProto, place: str) -> None:
    opsets = {item.domain: item.version for item in model.opset_import}
    version = next((opsets[domain] for domain in STANDARD if domain in opsets), None)
    if version is None:
        raise FacError(f"{place} does not say of which opset its operations are")
    if version < OLDEST:
        raise FacError(
            f"{place} is of opset {version}, and {OLDEST} is the oldest that is read: export it anew, or convert it "
            "by `onnx.version_converter.convert_version(model, 17)`"
        )
    if version > onnx_opset_version():
        raise FacError(
            f"{place} is of opset {version}, and the onnx that is installed knows those up to {onnx_opset_version()}: "
            "install a newer one"
        )


def _require_operations(model: ModelProto, place: str) -> None:
    nodes = model.graph.node
    own = {function.name for function in model.functions}
    for what, found in (
        (
            "operations of other domains",
            {f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in STANDARD},
        ),
        ("functions of its own", own),
        ("control flow", {n.op_type for n in nodes if n.op_type in LOOPS}),
        ("quantised arithmetic", {n.op_type for n in nodes if n.op_type in QUANTISED}),
    ):
        if found:
            names = sorted(found)
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            said = ", ".join(f"`{name}`" for name in names[:5])
            raise FacError(f"{place} holds {what} ({said}{more}), which no layers say")
    if model.graph.sparse_initializer:
        raise FacError(f"{place} holds sparse arrays, which no layers have")


def _require_order(model: ModelProto, place: str) -> None:
    """Each value made once, before it is read."""
    graph = model.graph
    there = {"", *(v.name for v in graph.input), *(t.name for t in graph.initializer)}
    for node in graph.node:
        for name in node.input:
            if name not in there:
                raise FacError(
                    f"{place} is damaged: {_place(node)} reads `{name}`, which nothing makes before it"
                )
        for name in node.output:
            if name and name in there:
                raise FacError(f"{place} is damaged: {_place(node)} makes `{name}`, which is there already")
            there.add(name)
    for value in graph.output:
        if value.name not in there:
            raise FacError(f"{place} is damaged: nothing makes its output `{value.name}`")


def _place(node: NodeProto) -> str:
    return f"`{node.name}` ({node.op_type})" if node.name else f"a `{node.op_type}`"
