"""Networks of ONNX files as specs: what comes of operations, and that it computes the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator

import fac
from fac.importing import Imported, NotImportedError, from_onnx
from tests.importing.onnx_models import draw, model, node, written


def imported(folder: Path, made: ModelProto, **settings: Any) -> Imported:
    """A network, which computes what ONNX's own reference implementation does, by another way than the proof's."""
    found = from_onnx(written(folder, made), **settings)
    session = fac.compile(found.spec, "reference", "float64").open(found.state, derive=True)
    x = draw(5, *found.spec["input"]["shape"], seed=9)
    (wanted,) = ReferenceEvaluator(made).run(None, {"in": x})
    np.testing.assert_allclose(session.forward(x), np.asarray(wanted), rtol=1e-5, atol=1e-5)
    assert fac.check(found.spec) == ()
    return found


def kinds(found: Imported) -> list[str]:
    return [layer["kind"] for layer in found.spec["layers"]]


def test_an_mlp_in_both_ways_of_writing_a_linear_layer(tmp_path: Path) -> None:
    made = model(
        [
            node("Gemm", "in fc1.weight fc1.bias", "h", transB=1, name="/fc1/Gemm"),
            node("Relu", "h", "r", name="/act/Relu"),
            node("MatMul", "r onnx::MatMul_8", "m", name="/fc2/MatMul"),
            node("Add", "fc2.bias m", "out", name="/fc2/Add"),
        ],
        {"fc1.weight": draw(5, 4), "fc1.bias": draw(5), "onnx::MatMul_8": draw(5, 3), "fc2.bias": draw(3)},
        [4],
    )
    found = imported(tmp_path, made)
    assert found.spec["layers"] == [
        {"kind": "linear", "name": "fc1", "out": 5},
        {"kind": "relu", "name": "act"},
        {"kind": "linear", "name": "fc2", "out": 3},
    ]
    assert np.array_equal(found.state["fc2.weight"], draw(5, 3).T)
    assert found.spec["name"] == "net"
    assert found.proof.precision == "float32"
    assert found.proof.evaluation.share < 1e-6
    assert found.proof.parts.keys() == {"evaluation"}


def test_a_convolutional_network(tmp_path: Path) -> None:
    made = model(
        [
            node("Conv", "in stem.weight", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("BatchNormalization", "c norm.weight norm.bias norm.running_mean norm.running_var", "n"),
            node("Relu", "n", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", "p body.weight body.bias", "d", kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=2),
            node("Add", "d p", "s"),
            node("GlobalAveragePool", "s", "g"),
            node("Flatten", "g", "f"),
            node("Gemm", "f head.weight head.bias", "out", transB=1),
        ],
        {
            "stem.weight": draw(4, 2, 3, 3),
            "norm.weight": draw(4),
            "norm.bias": draw(4, seed=1),
            "norm.running_mean": draw(4, seed=2),
            "norm.running_var": draw(4, seed=3) ** 2 + 0.1,
            "body.weight": draw(4, 2, 3, 3, seed=1),
            "body.bias": draw(4, seed=4),
            "head.weight": draw(3, 4),
            "head.bias": draw(3),
        },
        [2, 6, 6],
    )
    found = imported(tmp_path, made)
    assert kinds(found) == [
        "conv2d",
        "batch_norm",
        "relu",
        "max_pool2d",
        "conv2d",
        "add",
        "adaptive_avg_pool2d",
        "flatten",
        "linear",
    ]
    assert found.spec["layers"][1] == {"kind": "batch_norm", "name": "norm"}
    assert not found.notes


def test_zeros_that_are_not_the_same_on_both_sides(tmp_path: Path) -> None:
    """`SAME_UPPER` at a stride of 2, as exporters of TensorFlow write it."""
    made = model(
        [node("Conv", "in c.weight", "out", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")],
        {"c.weight": draw(3, 2, 3, 3)},
        [2, 6, 7],
    )
    found = imported(tmp_path, made)
    assert found.spec["layers"][0] == {"kind": "pad", "name": "pad", "padding": [1, 1, 0, 1]}


def test_functions_and_arrays_beside_tensors(tmp_path: Path) -> None:
    """Divisors stand in a `scale` turned upside down, and what is taken off in a `bias` between two signs."""
    made = model(
        [
            node("Sub", "in mean", "a"),
            node("Div", "a size", "b"),
            node("Gemm", "b fc.weight", "c", transB=1),
            node("Erf", "c", "d"),
            node("Pow", "d two", "e"),
            node("Sqrt", "e", "f"),
            node("Sub", "shift f", "g"),
            node("Div", "g three", "h"),
            node("Exp", "c", "i"),
            node("Div", "h i", "out"),
        ],
        {
            "mean": draw(3),
            "size": draw(3) ** 2 + 0.5,
            "fc.weight": draw(2, 3),
            "two": 2.0,
            "three": 3.0,
            "shift": draw(2),
        },
        [3],
    )
    found = imported(tmp_path, made)
    assert kinds(found)[:7] == ["rescaling", "bias", "rescaling", "scale", "linear", "erf", "pow"]
    assert np.allclose(found.state["size.weight"] * (draw(3) ** 2 + 0.5), 1)
    zero = model([node("Div", "in size", "out")], {"size": np.zeros(3, np.float32)}, [3])
    with pytest.raises(NotImportedError, match="without zeros"):
        imported(tmp_path, zero)


def test_a_pool_that_does_not_count_what_is_padded(tmp_path: Path) -> None:
    pool = node("AveragePool", "a", "out", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    made = model([node("Conv", "in c.weight", "a"), pool], {"c.weight": draw(2, 2, 2, 2)}, [2, 6, 7])
    assert imported(tmp_path, made).spec["layers"][1]["count_include_pad"] is False


def test_pools_of_maps_with_zeros_on_one_side(tmp_path: Path) -> None:
    """Means that count zeros read a `pad`; others would take them for numbers of the map."""

    def made(op: str, **settings: Any) -> ModelProto:
        pool = node(op, "a", "out", kernel_shape=[2, 2], **settings)
        return model([node("Conv", "in c.weight", "a"), pool], {"c.weight": draw(2, 2, 1, 1)}, [2, 5, 7])

    counts = {"count_include_pad": 1}
    for settings in ({"pads": [0, 0, 1, 1]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}):
        found = imported(tmp_path, made("AveragePool", **settings, **counts))
        assert kinds(found) == ["conv2d", "pad", "avg_pool2d"]
        assert found.spec["layers"][1]["padding"] == [0, 1, 0, 1]
    for refused in (
        made("MaxPool", auto_pad="SAME_UPPER"),
        made("AveragePool", pads=[0, 0, 1, 1]),
        made("AveragePool", pads=[0, 0, 1, 1], ceil_mode=1, **counts),
    ):
        with pytest.raises(NotImportedError, match="`pads` are the same before and behind"):
            from_onnx(written(tmp_path, refused))


@pytest.mark.parametrize(
    ("op", "top", "behind"),
    [
        ("Div", 1.0, ["pow"]),
        ("Div", 2.5, ["pow", "rescaling"]),
        ("Div", draw(3), ["pow", "scale"]),
        ("Sub", 2.5, ["rescaling"]),
    ],
    ids=["one", "number", "array", "minus"],
)
def test_a_number_divided_by_a_tensor_or_less_it(
    op: str, top: Any, behind: list[str], tmp_path: Path
) -> None:
    nodes = [
        *(node("MatMul", "in w", "a"), node("Sigmoid", "a", "b"), node("Softplus", "b", "c")),
        *(node(op, "top c", "d"), node("MatMul", "d v", "out")),
    ]
    found = imported(tmp_path, model(nodes, {"w": draw(4, 3), "v": draw(3, 2), "top": top}, [4]))
    assert kinds(found) == ["linear", "sigmoid", "softplus", *behind, "linear"]


def test_attention_whose_mask_chooses(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "in fc.weight", "a"),
        node("Transpose", "a", "t", perm=[0, 2, 1]),
        node("MatMul", "a t", "s"),
        node("Where", "mask s far", "h"),
        node("Softmax", "h", "p", axis=-1),
        node("MatMul", "p a", "out"),
    ]
    arrays = {"fc.weight": draw(4, 4), "mask": np.tri(5, dtype=bool), "far": -1e9}
    found = imported(tmp_path, model(nodes, arrays, [5, 4]))
    assert kinds(found) == ["linear", "rescaling", "attend"]


GELU = {
    "last": ("Div in root", "Erf a", "Add b one", "Mul in c", "Mul d half"),
    "first": ("Mul in inverse", "Erf a", "Add one b", "Mul c half", "Mul d in"),
    "half": ("Div in root", "Erf a", "Add b one", "Mul in half", "Mul d c"),
}


def spelled(lines: Sequence[str], last: str) -> list[NodeProto]:
    """Nodes that make a, b, c, d and the last value."""
    parts = (line.partition(" ") for line in lines)
    return [node(op, reads, name) for (op, _, reads), name in zip(parts, (*"abcd", last), strict=True)]


@pytest.mark.parametrize("lines", GELU.values(), ids=GELU)
def test_a_gelu_that_is_spelled_out(lines: tuple[str, ...], tmp_path: Path) -> None:
    nodes = spelled(lines, "g")
    arrays = {"root": 2**0.5, "inverse": 0.5**0.5, "one": 1.0, "half": 0.5, "fc.weight": draw(2, 3)}
    found = imported(tmp_path, model([*nodes, node("Gemm", "g fc.weight", "out", transB=1)], arrays, [3]))
    assert kinds(found) == ["gelu", "linear"]


def test_what_is_nearly_a_gelu_is_none(tmp_path: Path) -> None:
    lines = GELU["last"]
    nodes = [*spelled(lines, "g"), node("Gemm", "g fc.weight", "out", transB=1)]
    arrays = {"root": 1.5, "one": 1.0, "half": 0.5, "fc.weight": draw(2, 3)}
    found = imported(tmp_path, model(nodes, arrays, [3]))
    assert kinds(found) == ["rescaling", "erf", "rescaling", "multiply", "rescaling", "linear"]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("opset", [17, 18])
def test_a_norm_that_is_spelled_out(centred: bool, opset: int, tmp_path: Path) -> None:
    axes: dict[str, Any] = {"axes": [-1]} if opset == 17 else {}
    mean = "" if opset == 17 else " axes"
    nodes = [
        node("ReduceMean", f"in{mean}", "m", **axes),
        node("Sub", "in m", "c"),
        node("Pow", f"{'c' if centred else 'in'} two", "q"),
        node("ReduceMean", f"q{mean}", "v", **axes),
        node("Add", "v eps", "e"),
        node("Sqrt", "e", "s"),
        node("Div", f"{'c' if centred else 'in'} s", "n"),
        node("Mul", "n norm.weight", "w"),
        node("Add", "w norm.bias", "b"),
        node("Relu", "b" if centred else "w", "out"),
    ]
    arrays = {
        "axes": [-1],
        "two": 2.0,
        "eps": 1e-6,
        "norm.weight": draw(6),
        "norm.bias": draw(6, seed=1),
    }
    found = imported(tmp_path, model(nodes, arrays, [3, 6], opset=opset))
    kind = "layer_norm" if centred else "rms_norm"
    assert found.spec["layers"][0] == {"kind": kind, "name": "norm", "axes": -1, "eps": 1e-6}
    assert np.array_equal(found.state["norm.weight"], draw(6))


@pytest.mark.parametrize("place", ["scores", "both"])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_heads(place: str, masked: bool, tmp_path: Path) -> None:
    """[N, 4, 6] by one matrix to queries, keys and values of 2 heads of 3 channels."""
    nodes = [
        node("MatMul", "in qkv", "p"),
        node("Shape", "in", "size"),
        node("Gather", "size zero", "n", axis=0),
        node("Unsqueeze", "n axis", "batch"),
        node("Concat", "batch parts", "wanted", axis=0),
        node("Reshape", "p wanted", "r"),
        node("Transpose", "r", "t", perm=[2, 0, 3, 1, 4]),
        node("Split", "t ones", "q1 k1 v1", axis=0),
        *(node("Squeeze", f"{name}1 axis", name) for name in "qkv"),
        node("Transpose", "k", "kt", perm=[0, 1, 3, 2]),
    ]
    if place == "both":
        nodes += [node("Mul", "q small", "qs"), node("Mul", "kt small", "ks"), node("MatMul", "qs ks", "s")]
    else:
        nodes += [node("MatMul", "q kt", "raw"), node("Div", "raw root", "s")]
    nodes += [node("Add", "s mask", "added")] if masked else []
    nodes += [
        node("Softmax", "added" if masked else "s", "w", axis=-1),
        node("MatMul", "w v", "y"),
        node("Transpose", "y", "back", perm=[0, 2, 1, 3]),
        node("Concat", "batch rest", "joined", axis=0),
        node("Reshape", "back joined", "z"),
        node("MatMul", "z proj", "out"),
    ]
    arrays = {
        "qkv": draw(6, 18),
        "proj": draw(6, 6),
        "zero": 0,
        "axis": [0],
        "parts": [4, 3, 2, 3],
        "ones": [1, 1, 1],
        "rest": [4, 6],
        "small": 3**-0.25,
        "root": 3**0.5,
        "mask": np.where(np.tri(4), 0, -np.inf).astype(np.float32),
    }
    found = imported(tmp_path, model(nodes, arrays, [4, 6]))
    assert kinds(found) == ["linear", "attend", "linear"]
    assert found.spec["layers"][1].get("causal", False) is masked


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, "nearest"),
        ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, "nearest"),
        ({"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}, "bilinear"),
    ],
)
def test_maps_that_are_made_larger(settings: dict[str, Any], mode: str, tmp_path: Path) -> None:
    arrays = {"w": draw(3, 2, 1, 1), "scales": [1.0, 1.0, 2.0, 3.0]}
    nodes = [node("Conv", "in w", "c"), node("Resize", "c _ scales", "out", **settings)]
    found = imported(tmp_path, model(nodes, arrays, [2, 3, 4]))
    assert found.spec["layers"][1]["scale_factor"] == [2, 3]
    assert found.spec["layers"][1].get("mode", "nearest") == mode


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "cubic"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},
    ],
)
def test_maps_that_are_made_larger_otherwise(settings: dict[str, Any], tmp_path: Path) -> None:
    made = model(
        [node("Resize", "in _ scales", "out", **settings)], {"scales": [1.0, 1.0, 2.0, 2.0]}, [2, 3, 4]
    )
    with pytest.raises(NotImportedError, match="a `Resize` that repeats numbers"):
        from_onnx(written(tmp_path, made))


POOLS = {"MaxPool": "max_pool2d", "AveragePool": "avg_pool2d"}
PADS: Mapping[str, Any] = {"MaxPool": {}, "AveragePool": {"count_include_pad": 1}}


def pooled(op: str, height: int, **settings: Any) -> ModelProto:
    """A convolution and a pool of windows of 3 x 3, two apart, of maps [3, height, 7]; they may reach over the edge."""
    more: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    nodes = [node("Conv", "in w", "c"), node(op, "c", "out", **(more | settings))]
    return model(nodes, {"w": draw(3, 2, 1, 1)}, [2, height, 7])


@pytest.mark.parametrize("op", POOLS)
def test_windows_that_may_reach_over_the_edge(op: str, tmp_path: Path) -> None:
    """One that would begin in the zeros behind the map is none."""
    for made in (pooled(op, 5), pooled(op, 5, strides=[3, 3], pads=[1, 1, 1, 1], **PADS[op])):
        found = imported(tmp_path, made)
        assert kinds(found) == ["conv2d", POOLS[op]]
        assert "ceil_mode" not in found.spec["layers"][1]
    for made in (pooled(op, 6), pooled(op, 6, pads=[1, 1, 1, 1])):
        assert imported(tmp_path, made).spec["layers"][1]["ceil_mode"] is True


@pytest.mark.parametrize("op", ["Abs", "Exp"])
def test_functions_of_numbers_that_are_layers(op: str, tmp_path: Path) -> None:
    nodes = [node("MatMul", "in w", "a"), node(op, "a", "b"), node("MatMul", "b v", "out")]
    found = imported(tmp_path, model(nodes, {"w": draw(4, 5), "v": draw(5, 2)}, [4]))
    assert kinds(found) == ["linear", op.lower(), "linear"]


@pytest.mark.parametrize("factor", ["sixth", "six"])
@pytest.mark.parametrize("kind", ["hardsigmoid", "hardswish", "silu", "clamp"])
def test_activations_that_are_spelled_out(kind: str, factor: str, tmp_path: Path) -> None:
    clip = [node("Add", "in three", "a"), node("Clip", "a zero six", "b")]
    by = node("Mul", "b sixth", "c") if factor == "sixth" else node("Div", "b six", "c")
    nodes = {
        "hardsigmoid": [*clip, by, node("MatMul", "c w", "out")],
        "hardswish": [*clip, by, node("Mul", "c in", "d"), node("MatMul", "d w", "out")],
        "silu": [node("Sigmoid", "in", "a"), node("Mul", "a in", "b"), node("MatMul", "b w", "out")],
        "clamp": [node("Clip", "in zero six", "a"), node("MatMul", "a w", "out")],
    }[kind]
    arrays = {"three": 3.0, "zero": 0.0, "six": 6.0, "sixth": 1 / 6, "w": draw(4, 2)}
    assert kinds(imported(tmp_path, model(nodes, arrays, [4]))) == [kind, "linear"]


def test_groups_as_channels_of_another_view(tmp_path: Path) -> None:
    """As PyTorch exports a group norm: an instance norm of groups, and a weight and a bias behind it."""
    nodes = [
        node("Reshape", "in grouped", "g"),
        node("InstanceNormalization", "g ones zeros", "n", epsilon=1e-3),
        node("Shape", "in", "size"),
        node("Reshape", "n size", "v"),
        node("Mul", "v gn.weight", "m"),
        node("Add", "m gn.bias", "a"),
        node("Conv", "a c.weight", "out"),
    ]
    arrays = {
        "grouped": [0, 2, -1],
        "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32),
        "gn.weight": draw(4, 1, 1),
        "gn.bias": draw(4, 1, 1, seed=1),
        "c.weight": draw(3, 4, 1, 1),
    }
    found = imported(tmp_path, model(nodes, arrays, [4, 3, 3]))
    assert found.spec["layers"][0] == {"kind": "group_norm", "name": "gn", "groups": 2, "eps": 1e-3}
    assert found.state["gn.weight"].shape == (4,)


def test_a_weight_on_the_left(tmp_path: Path) -> None:
    """W X of tokens X [T, d]: they are mixed, channel by channel."""
    made = model(
        [node("MatMul", "mix in", "a"), node("MatMul", "a w", "out")],
        {"mix": draw(5, 4), "w": draw(3, 2)},
        [4, 3],
    )
    found = imported(tmp_path, made)
    assert kinds(found) == ["permute", "linear", "permute", "linear"]


def test_a_table_that_is_the_head_too(tmp_path: Path) -> None:
    nodes = [
        node("Gather", "table in", "e"),
        node("Transpose", "table", "t", perm=[1, 0]),
        node("MatMul", "e t", "m"),
        node("Add", "m bias", "out"),
    ]
    arrays = {"table": draw(9, 4), "bias": draw(9)}
    made = model(nodes, arrays, [5], kind=TensorProto.INT64)
    found = from_onnx(written(tmp_path, made), classes=9)
    assert [layer["kind"] for layer in found.spec["layers"]] == ["embedding", "linear"]
    assert found.spec["layers"][1]["tie"] == found.spec["layers"][0]["name"]
    assert sum(array.size for array in found.state.values()) == 9 * 4 + 9


def test_one_array_in_two_forms(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("MatMul", "in w", "a"),
        node("MatMul", "a t", "out"),
    ]
    with pytest.raises(fac.FacError, match="are one array of the file, which they read with its axes"):
        from_onnx(written(tmp_path, model(nodes, {"w": draw(4, 4)}, [4])))


def test_what_an_exporter_has_folded_is_said(tmp_path: Path) -> None:
    made = model(
        [node("Conv", "in onnx::Conv_1 onnx::Conv_2", "out", name="/conv1/Conv", kernel_shape=[1, 1])],
        {"onnx::Conv_1": draw(3, 2, 1, 1), "onnx::Conv_2": draw(3)},
        [2, 3, 3],
    )
    found = imported(tmp_path, made)
    assert found.spec["layers"][0]["name"] == "conv1"
    assert found.notes[0].startswith("1 layers hold a batch normalisation that the exporter has folded")


def test_an_array_of_several_layers(tmp_path: Path) -> None:
    """One that has learned is tied; of one whose numbers are all one nothing says that it is."""
    nodes = [
        node("MatMul", "in w", "a", name="/one/MatMul"),
        node("LayerNormalization", "a scale zero", "b", name="/norm1/LayerNormalization"),
        node("MatMul", "b w", "c", name="/two/MatMul"),
        node("LayerNormalization", "c scale zero", "out", name="/norm2/LayerNormalization"),
    ]
    found = imported(
        tmp_path,
        model(
            nodes, {"w": draw(4, 4), "scale": np.ones(4, np.float32), "zero": np.zeros(4, np.float32)}, [4]
        ),
    )
    assert found.spec["layers"][2]["tie"] == "one"
    assert {"norm1.weight", "norm2.weight", "one.weight"} <= found.state.keys()
    assert any(note.startswith("2 arrays stand once in the file") for note in found.notes)


def test_all_that_cannot_be_said_is_listed(tmp_path: Path) -> None:
    nodes = [
        node("CumSum", "in axis", "a", name="sums"),
        node("Det", "b", "out", name="determinant"),
        node("MatMul", "a w", "b"),
    ]
    made = model([nodes[0], nodes[2], nodes[1]], {"axis": 1, "w": draw(3, 3)}, [3, 3])
    with pytest.raises(NotImportedError) as caught:
        from_onnx(written(tmp_path, made))
    assert [(item.module, item.type) for item in caught.value.refused] == [
        ("sums", "CumSum"),
        ("determinant", "Det"),
    ]


@pytest.mark.parametrize("kind", ["BatchNormalization", "Dropout"])
def test_a_graph_that_trains_is_told_from_one_for_inference(tmp_path: Path, kind: str) -> None:
    if kind == "Dropout":
        trains = node("Dropout", "h ratio training", "out", name="/drop")
        more = {"ratio": np.float32(0.5), "training": np.array(True)}
    else:
        trains = node("BatchNormalization", "h g b m v", "out", training_mode=1, name="/bn")
        more = {name: np.ones(3, np.float32) for name in "gbmv"}
    made = model(
        [node("Gemm", "in w c", "h", transB=1, name="/fc"), trains],
        {"w": draw(3, 4), "c": draw(3), **more},
        [4],
    )
    with pytest.raises(fac.FacError, match=rf"training mode, as `{kind}` of it says.*`\.eval\(\)`"):
        from_onnx(written(tmp_path, made))
