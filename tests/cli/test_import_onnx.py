"""`fac import onnx`: files that can be gone on with, and one message for each that cannot be read."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from safetensors.numpy import load_file

import fac
from fac.cli import main
from tests.importing.onnx_models import draw, model, node, written

WEIGHTS = "small/weights.safetensors"


def linear(**settings: object) -> ModelProto:
    """One linear layer."""
    made = model([node("MatMul", "in w", "out")], {"w": draw(4, 3)}, [4])
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def ran(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fac", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_spec_and_weights_that_are_trained_further(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names come from arrays, where nodes have none."""
    nodes = [node("Gemm", "in fc.weight fc.bias", "h", transB=1), node("Relu", "h", "r")]
    arrays = {"fc.weight": draw(6, 4), "fc.bias": draw(6), "out.weight": draw(3, 6)}
    written(folder, model([*nodes, node("Gemm", "r out.weight", "out", transB=1)], arrays, [4]), "small.onnx")
    assert ran(monkeypatch, "import", "onnx", "small.onnx") == 0
    printed = capsys.readouterr().out
    assert "in float32, network in float64 against onnxruntime on 4 random samples" in printed
    assert "autograd" not in printed
    spec, state = folder / "small/spec.fac.yaml", load_file(folder / "small/weights.safetensors")
    assert fac.check(spec) == ()
    assert {key: array.shape for key, array in state.items()} == {
        "fc.weight": (6, 4),
        "fc.bias": (6,),
        "out.weight": (3, 6),
        "step": (),
    }
    np.savez(folder / "data.npz", x=draw(20, 4), y=np.arange(20) % 3)
    for part in ("train", "test"):
        (folder / f"{part}.npz").write_bytes((folder / "data.npz").read_bytes())
    data = "data={source: arrays, train: ../train.npz, test: ../test.npz}"
    brief = ("--set", "train={epochs: 1, batch: 10}", "--set", data, "--backend", "reference")
    assert ran(monkeypatch, "train", "small/spec.fac.yaml", *brief, "--out", "run", "--init", WEIGHTS) == 0
    # nothing is lost
    assert ran(monkeypatch, "import", "onnx", "small.onnx") == 2
    assert "`--force` overwrites it" in capsys.readouterr().err


def dims(made: ModelProto, *sizes: int | str) -> ModelProto:
    """The model with another declared input."""
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info("in", TensorProto.FLOAT, sizes))
    return made


def other(made: ModelProto) -> ModelProto:
    """With one more input."""
    made.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N"]))
    return made


def outside(place: str) -> Callable[[], ModelProto]:
    """With its array in another file."""

    def made() -> ModelProto:
        found = linear()
        (tensor,) = found.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        return found

    return made


def named(op: str, domain: str) -> ModelProto:
    return model([helper.make_node(op, ["in"], ["out"], domain=domain)], {}, [4])


BAD: dict[str, tuple[Callable[[], ModelProto | bytes], str]] = {
    "text": (lambda: b"this is no model\n", "is no ONNX file, or a damaged or incomplete one"),
    "empty": (lambda: b"", "is no ONNX file: it holds no graph"),
    "truncated": (
        lambda: linear().SerializeToString()[:-20],
        "is no ONNX file, or a damaged or incomplete one",
    ),
    "old": (
        lambda: model([node("Relu", "in", "out")], {}, [4], opset=9),
        "is of opset 9, and 13 is the oldest",
    ),
    "new": (
        lambda: model([node("Relu", "in", "out")], {}, [4], opset=99),
        "is of opset 99, and the onnx that is",
    ),
    "open": (
        lambda: dims(linear(), "N", "width"),
        "`in` of `net.onnx` is [N, width], and leaves sizes beside",
    ),
    "vector": (lambda: dims(linear(), "N"), "it has no axis beside that of the samples"),
    "two inputs": (lambda: other(linear()), "reads 2 tensors (`in`, `mask`) and returns 1 tensors (`out`)"),
    "two outputs": (
        lambda: model([node("Relu", "in", "a"), node("Neg", "in", "b")], {}, [4], out=("a", "b")),
        "returns 2 tensors (`a`, `b`)",
    ),
    "domain": (
        lambda: named("Attention", "com.microsoft"),
        "operations of other domains (`com.microsoft.Att",
    ),
    "loop": (lambda: named("Loop", ""), "holds control flow (`Loop`)"),
    "quantised": (lambda: named("QuantizeLinear", ""), "holds quantised arithmetic (`QuantizeLinear`)"),
    "half": (
        lambda: model([node("Relu", "in", "out")], {}, [4], kind=TensorProto.FLOAT16),
        "`in` of `net.onnx` holds float16",
    ),
    "words": (
        lambda: model([node("Gather", "w in", "out")], {"w": draw(5, 3)}, [4], kind=TensorProto.INT64),
        "holds whole numbers: say how many it tells apart, `--classes N`",
    ),
    "missing": (outside("w.bin"), "`w.bin`, in which `net.onnx` keeps arrays, does not exist"),
    "elsewhere": (outside("../w.bin"), "keeps arrays in `../w.bin`, which is no file of its folder"),
    "too short": (outside("short.bin"), "is damaged: `w` [4, 3] does not hold its numbers"),
    "undefined": (
        lambda: model([node("Relu", "a", "out")], {}, [4]),
        "is damaged: a `Relu` reads `a`, which nothing makes before it",
    ),
    "not finite": (
        lambda: model([node("MatMul", "in w", "out")], {"w": draw(4, 3) * np.inf}, [4]),
        "holds infinities, or what is no number",
    ),
    "shapes": (
        lambda: model([node("MatMul", "in w", "out")], {"w": draw(5, 3)}, [4]),
        "onnxruntime fails on a batch [3, 4]",
    ),
    "constant": (
        lambda: model([node("Identity", "w", "out")], {"w": draw(4)}, [4]),
        "makes nothing of its input that a layer could make",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_read(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made, said = BAD[case]
    content = made()
    (folder / "net.onnx").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    (folder / "short.bin").write_bytes(b"123")
    assert ran(monkeypatch, "import", "onnx", "net.onnx", "-o", "out") == 2
    printed = capfd.readouterr()
    assert said in printed.err
    # nothing that onnxruntime prints by itself stands beside it
    assert printed.err.startswith("fac: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not (folder / "out").exists()


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    """Bytes that are changed, missing or too many: a network, or one message."""
    rng, path = random.Random(0), tmp_path / "net.onnx"
    nodes = [
        node("LayerNormalization", "in ln.weight ln.bias", "n", name="/ln/LayerNormalization"),
        node("Reshape", "n parts", "r"),
        node("MatMul", "r w", "out"),
    ]
    arrays = {"ln.weight": draw(4), "ln.bias": draw(4), "parts": [0, 4], "w": draw(4, 3)}
    whole = model(nodes, arrays, [4]).SerializeToString()
    ends = {True: 0, False: 0}
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(len(content))
            content[at : at + rng.randrange(3)] = bytes(rng.randrange(256) for _ in range(rng.randrange(3)))
        path.write_bytes(content)
        try:
            fac.from_onnx(path)
            ends[True] += 1
        except fac.FacError:
            ends[False] += 1
    assert min(ends.values()) > 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--input", "5"), "`in` of `net.onnx` is [N, 4], and no sample of it is [5]"),
        (("--input", "4x"), "is no shape of a sample"),
        (("--arg", "a=1"), "a file takes no arguments"),
        (("--classes", "3"), "the input of `net.onnx` holds real numbers, not classes"),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written(folder, linear())
    assert ran(monkeypatch, "import", "onnx", "net.onnx", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "net").exists()


def test_what_is_missing_is_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder, model([node("Det", "in", "a", name="/body/Det"), node("Sin", "a", "out")], {}, [3, 3]))
    assert ran(monkeypatch, "import", "onnx", "net.onnx") == 1
    said = capsys.readouterr().err
    assert "  `/body/Det` (Det), `Det`: needs a layer that does that\n" in said


def test_names_that_no_layer_may_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        node("MatMul", "in we/ird\x1b[31m.weight", "h", name="/\x1b[31mx/../y y/MatMul"),
        node("Relu", "h", "r", name="/input/Relu"),
        node("Gemm", "r input.weight loss.bias", "out", name="/x/Gemm", transB=1),
    ]
    arrays = {"we/ird\x1b[31m.weight": draw(4, 3), "input.weight": draw(3, 3), "loss.bias": draw(3)}
    written(folder, model(nodes, arrays, [4]), "$(touch a) b.onnx")
    assert ran(monkeypatch, "import", "onnx", "$(touch a) b.onnx") == 0
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    assert made.name == "touch-a-b"
    assert fac.check(made / "spec.fac.yaml") == ()
    names = [layer.name for layer in fac.load(made / "spec.fac.yaml").layers]
    assert names == ["linear", "relu", "input_2"]
