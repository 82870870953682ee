"""Each kind of file that comes in: sound ones to begin with, how they are changed, and what must hold of a reading."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import pyarrow
import torch
from PIL import Image
from pyarrow import parquet
from safetensors.numpy import save

import fac
from fac import pipeline, source
from fac.audit import Measured
from fac.backend import to_bytes
from fac.cli import earlier
from fac.diagnostics import FacError
from fac.escaping import visible
from fac.experiments import ended, plan, sealing
from fac.experiments import settings as settings_of_runs
from fac.experiments.contrasts import Pair
from fac.experiments.kept import Kept, open_comparison
from fac.experiments.trainer import row_of
from fac.experiments.variants import variants
from fac.lint import settings
from fac.render.report import Book, render
from fac.training import checkpoint
from fac.training.best import Best
from fac.training.data import fashion_mnist, load
from fac.training.data.arrays import Arrays
from fac.training.data.csv import Csv
from fac.training.data.images import pixels
from fac.training.data.npy import Folder
from fac.training.data.parquet import Parquet
from fac.training.data.sequences import Sequences
from fac.training.data.text import Text
from fac.training.folder import METRICS, OUTCOME, RunFolder
from fac.training.holding import Held
from fac.training.logs import EpochRecord
from fac.training.loop import Report
from fac.training.outcome import Concern
from fac.tuning import cache as tuning_cache
from fac_torch import kernels, pickled
from tests.fuzz import surgery
from tests.fuzz.choices import Choices
from tests.fuzz.surgery import Surgery

SPEC = {
    "fac": 1, "name": "fuzzed", "input": {"shape": [3]},
    "layers": [
        {"kind": "linear", "name": "fc", "out": 4}, {"kind": "tanh"}, {"kind": "linear", "name": "out", "out": 2}
    ],
    "loss": {"kind": "cross_entropy"}, "feedback": {"rule": "dfa"}, "update": {"rule": "sgd", "lr": 0.1},
    "data": {"source": "arrays", "train": "a.npz", "test": "b.npz"}, "train": {"epochs": 2},
}  # fmt: skip
X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 1, 0])


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    name: str
    """Of the file."""
    seeds: Callable[[], tuple[bytes, ...]]
    changes: tuple[Surgery, ...]
    read: Callable[[Path], object]
    """Reads the file at a path, and holds what is read to what it has to be."""
    refusal: type[BaseException] = FacError
    """How a reader that knows nothing of fac says that it is none."""


def npz(**packed: bool) -> bytes:
    """As NumPy writes it."""
    file = BytesIO()
    (np.savez_compressed if packed else np.savez)(file, x=X, y=Y)
    return file.getvalue()


def states() -> tuple[bytes, ...]:
    """A checkpoint in mid-epoch, and one of before there were digests, in which any change may pass."""
    program = pipeline.lowered(SPEC)
    made = pipeline.compiled(program)
    state = dict(made.initial()) | {"step": np.array(1)}
    about = {
        **made.about,
        "base": "..",
        "samples": "4",
        "loss_sum": "1.5",
        "loss_sums": "{}",
        "backend": "reference",
    }
    signed = to_bytes(state, about)
    length = int.from_bytes(signed[:8], "little")
    header = json.loads(signed[8 : 8 + length])
    header["__metadata__"] |= {"fac_checkpoint": "1"}
    del header["__metadata__"]["digest"]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + signed[8 + length :], signed


def read_state(path: Path) -> None:
    """Whatever passes as a state can be gone on with, or is refused as one of another spec."""
    found = checkpoint.load(path)
    if "digest" in found.about:
        assert path.read_bytes() == states()[1], "what is changed in any bit is refused"
    document = found.document()
    program = pipeline.lowered(document)
    checkpoint.require_spec(found, pipeline.compiled(program), fac.load(SPEC))
    pipeline.emit(program, pipeline.find_backend("reference")).open(found.state)


def read_beside_step(path: Path) -> None:
    """The reader that goes with `step.py`."""
    found = kernels.load_state(str(path))
    assert all(isinstance(array, torch.Tensor) for array in found.values())


@cache
def run_page() -> ModuleType:
    """The program of a written folder."""
    with TemporaryDirectory() as folder:
        pipeline.compile(SPEC, "onnx").write(folder)
        page = ModuleType("run_page")
        page.__dict__["__file__"] = f"{folder}/run.py"
        exec(Path(folder, "run.py").read_text(), page.__dict__)
    return page


def read_beside_graphs(path: Path) -> None:
    """The reader in `run.py`."""
    about, state = run_page().load_state(path)
    assert all(isinstance(array, np.ndarray) for array in state.values())
    assert all(isinstance(text, str) for text in about.values())


def read_arrays(path: Path) -> None:
    """What is read is what NumPy reads, which wants nothing in front of the archive."""
    split = load(Arrays(train=path.name, test=path.name), path.parent).train
    raw = path.read_bytes()
    with np.load(BytesIO(raw[raw.index(b"PK\3\4") :])) as stored:
        for name, array in split.arrays.items():
            np.testing.assert_array_equal(array, stored[name].reshape(array.shape).astype(array.dtype))


def read_series(path: Path) -> None:
    """Series are padded to finite numbers."""
    split = load(Sequences(train=path.name, test=path.name), path.parent).train
    assert split.x.shape[::2] == (len(split.y), split.x.shape[2])


def read_text(path: Path) -> None:
    """Bytes are bytes."""
    load(Text(path=path.name, length=2, test=0.5), path.parent)


TABLE = b"a,b,kind\n1,2.5,u\n3,-4,v\n5,6e2,u\n7,8,v\n"
CELLS = (
    ",", "\"", "\n", "\r", "\0", "nan", "1e999", "1_0", "", "٣", "\ufeff", ";", "a", "kind", "NA", "9" * 400, "\"\"",
    ",,,", "\xa0", "-", "0x1", "inf",
)  # fmt: skip


def read_table(path: Path) -> None:
    """Numbers are finite, and classes have names."""
    data = load(Csv(train=path.name, y="kind", test_share=0.5), path.parent)
    assert np.isfinite(data.train.x).all()
    assert data.train.y.max() < len(data.classes)


def parquets() -> tuple[bytes, ...]:
    """Packed and not."""
    found = []
    for packed in ("none", "snappy"):
        file = BytesIO()
        columns = {"a": [1.0, 2.0, 3.0, 4.0], "kind": ["u", "v", "u", "v"]}
        parquet.write_table(pyarrow.table(columns), file, compression=packed)
        found.append(file.getvalue())
    return tuple(found)


def read_columns(path: Path) -> None:
    """Likewise."""
    data = load(Parquet(train=path.name, y="kind", test_share=0.5), path.parent)
    assert np.isfinite(data.train.x).all()


def tensors() -> tuple[bytes, ...]:
    """Samples and labels."""
    return (save({"x": X, "y": Y}, {"spec": "{}", "name": "a"}),)


def saved() -> tuple[bytes, ...]:
    """Two arrays of one network, as `torch.save` writes them."""
    file = BytesIO()
    torch.save({"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}, file)
    return (file.getvalue(),)


def read_saved(path: Path) -> None:
    """What is read are arrays by name that lie in the file, and nothing has run."""
    try:
        with path.open("rb") as file:
            found = pickled.loaded(file, "`a`")
    finally:
        assert not path.with_name("ran").exists(), "code of a file was run"
    for name, array in found.items():
        assert isinstance(name, str)
        assert array.size < 1 << 10 or 0 in array.strides, "no more numbers than the file has"


def npy() -> tuple[bytes, ...]:
    """A file of a folder."""
    file = BytesIO()
    np.save(file, X)
    return (file.getvalue(),)


def read_mapped(path: Path) -> None:
    """What is mapped is as long as its header says."""
    found = Folder(path.parent, "`a`").array("x")
    assert found.sum() is not None


def pictures() -> tuple[bytes, ...]:
    """Of each kind that has bytes of its own."""
    found = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        file = BytesIO()
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(file, kind)
        found.append(file.getvalue())
    return tuple(found)


def read_picture(path: Path) -> None:
    """Bytes in the shape that is asked for."""
    with path.open("rb") as file:
        assert pixels(file, "`a`", "colour", (5, 7)).shape == (3, 5, 7)


def idx(packed: bool) -> bytes:
    """Two pictures."""
    raw = struct.pack(">4B3i", 0, 0, 8, 3, 2, 2, 2) + bytes(range(8))
    return gzip.compress(raw, mtime=0) if packed else raw


def read_idx(path: Path) -> None:
    """Only what has the right sum is read."""
    read = fashion_mnist._read(path.parent, path.name)
    assert hashlib.sha256(read).hexdigest() == fashion_mnist.SHA256[path.name]
    assert fashion_mnist._idx(read).shape == (2, 2, 2)


def log() -> tuple[bytes, ...]:
    """Three epochs."""
    records = [EpochRecord(e, 4 * e, 0.1, 1.5, 1.25, 0.5, 2.0, 3.0, {"fc.cosine": 0.5}) for e in (1, 2, 3)]
    return (b"".join(record.to_json().encode() + b"\n" for record in records),)


def read_log(path: Path) -> None:
    """What is left of a log is a log."""
    folder = RunFolder(Held(path.parent), {})
    for record in (kept := folder.rewind(3, 12)):
        assert 0 <= record.epoch <= 3
        assert f"{record.lr:.3g} {record.seconds:.1f} {record.step_ms:.2f} {record.train_loss:.4g}"
    assert [r.to_json() for r in folder.rewind(3, 12)] == [r.to_json() for r in kept]


@cache
def kept_files() -> dict[str, bytes]:
    """A comparison of two rules of which one run is over."""
    rules = variants([source.from_data(SPEC, "a.fac.yaml")], ["bp", "dfa"])
    programs = [pipeline.lowered(variant.seeded(0)) for variant in rules]
    meant = plan.Plan(
        rows=tuple(row_of(*each) for each in zip(rules, programs, strict=True)),
        specs=tuple(plan.expanded(program) for program in programs),
        data=({"train": "0", "test": "1"},) * 2,
        seeds=(0,),
        pairs=(Pair("dfa", "bp"),),
        budget="none",
        backend="reference",
        device="cpu",
        precision=None,
        threads=1,
        version="0",
        notes=("a note",),
    )
    record = EpochRecord(1, 4, 0.1, 1.5, 1.25, 0.5, math.nan, math.nan)
    best, concern = Best("validation_loss", 1.5, 1), Concern("chance", "no better", {"loss": 1.5})
    report = Report(1, 4, 1.5, 1.25, 0.5, 0.0, 0.0, (record,), (concern,), None, best, None)
    looked = Measured(
        {"out": 1.0}, {"fc": 1.0, "out": 1.0}, {"fc": 2.0, "out": 0.5}, {"fc": math.nan, "out": 1.0}, 0.5
    )
    with TemporaryDirectory() as folder:
        kept = Kept(Path(folder), meant)
        place = kept.place((0, 0))
        place.mkdir(parents=True)
        (kept.path / plan.FILE).write_text(meant.text())
        (place / checkpoint.FILE).write_bytes(states()[1])
        RunFolder(Held(place), {}).append(record)
        ended.keep(Held(place), report, looked, belongs=kept.belongs((0, 0)))
        found = (path for path in kept.path.rglob("*") if path.is_file())
        return {path.relative_to(kept.path).as_posix(): path.read_bytes() for path in found}


def signed(raw: bytes, choices: Choices) -> bytes:
    """Data with an odd value, and the digest that goes with them: as of one who wants to be believed."""
    found = json.loads(surgery.json_lines(json.dumps(json.loads(raw)).encode(), choices))
    try:
        if "comparison" in found:
            found["digest"] = sealing.digest(plan._meant(found))
        else:
            found["digest"] = sealing.digest({key: found[key] for key in found if key != "digest"})
    except (TypeError, LookupError, AttributeError):
        pass
    return json.dumps(found).encode()


def read_kept(path: Path) -> None:
    """A comparison is read, and all that it says can be written."""
    folder = path.parents[len(RUN_OF_KEPT.split("/")) - 1] if path.name == OUTCOME else path.parent
    for name, held in kept_files().items():
        beside = folder / name
        if beside != path and not beside.exists():
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(held)
    found = open_comparison(folder).comparison()
    assert found.table()
    assert json.dumps(found.flat())
    if path.name == OUTCOME:
        read_alone(path.parent)


def read_alone(run: Path) -> None:
    """What came of a run has figures and sentences, and can be shown."""
    found = ended.read(run)
    if found is None:
        assert ended.stale(run)
        return
    assert all(map(str.isprintable, map(visible, ended.told(run))))
    assert f"{found.value('test_loss')} {found.value('test_accuracy')} {found.value('steps')}"
    shown = settings_of_runs.read(run, [])
    assert shown is not None
    made = settings_of_runs.setting("a", [shown], [])
    render(Book("t", (made,), (), (), settings_of_runs.LIMITS))


def choices() -> tuple[bytes, ...]:
    """What is kept of a tuning."""
    about = {"fac_tuning": 1, "machine": {"processor": "p"}, "work": "0" * 16, "choices": {"maps": "rows"}}
    return (json.dumps(about).encode(),)


def read_choices(path: Path) -> None:
    """Texts by texts, which an artifact then takes or refuses, if the rest is as it was."""
    key = tuning_cache.Key({"processor": "p"}, "0" * 16)
    found = tuning_cache.read(path, key)
    assert all(type(part) is str for pair in found.items() for part in pair)


RUN_OF_KEPT = f"runs/01-bp-seed-0/{OUTCOME}"
MADE = {"backend": "torch", "spec_hash": "0", "files": ["step.py"], "digests": {"step.py": "0" * 64}}
TOML = b"""\
fail-on = "warning"
ignore = [ "FAC205" , "FAC3" ]
exclude = [ "drafts/*" ]
severity = { FAC301 = "warning" }
per-file-ignores = { "a/*" = [ "FAC2" ] }
constraints = { max_rank = 16 , peak_memory = { at_most = "1 GiB" } }
"""
WORDS = (
    "extends", "=", '"~nosuchuser/x"', '"a\\u0000b"', '"x"', "{", "}", "[", "]", "1", "nan", "-inf", "9" * 400,
    "1979-05-27", "0000-00-00", "[[a]]", "[tool.fac]", '"\\ud800"', "'''", "a.b.c", "\0", "\n", "true", '"FAC999"',
    "[" * 50, "extends = '.'\n", "extends = '/dev/zero'\n", "extends = 'fac.toml'\n", "9e9999", "07:32:00",
)  # fmt: skip
SERIES = b"""\
@problemName x
@timeStamps false
@dimensions 2
@classLabel true up down
@data
1 , 2 , 3 : 4 , 5 , 6 : up
1 , 2 : 3 , 4 : down
"""
SERIES_WORDS = (
    ":", ",", "?", "nan", "1e999", "1e308", "-1e308", "@data", "@classLabel", "up", "@dimensions 0\n", "\r", "\n",
    "%", "#", "\0", "٣", "1_0", "0x1", "" , "true", "@timeStamps true\n", "@targetLabel true\n",
    "9" * 400, "\ufeff", ":" * 300,
)  # fmt: skip

KINDS = {
    "state": Kind("state.safetensors", states, (surgery.any_bytes, surgery.state_header), read_state),
    "state beside step.py": Kind(
        "state.safetensors",
        states,
        (surgery.any_bytes, surgery.state_header),
        read_beside_step,
        ValueError,
    ),
    "state beside graphs": Kind(
        "state.safetensors",
        states,
        (surgery.any_bytes, surgery.state_header),
        read_beside_graphs,
        SystemExit,
    ),
    "arrays": Kind(
        "a.npz", lambda: (npz(), npz(packed=True)), (surgery.any_bytes, surgery.array_header), read_arrays
    ),
    "idx": Kind("train-images-idx3-ubyte", lambda: (idx(False), idx(True)), (surgery.any_bytes,), read_idx),
    "series": Kind("a.ts", lambda: (SERIES,), (surgery.any_bytes, surgery.words(SERIES_WORDS)), read_series),
    "table": Kind("a.csv", lambda: (TABLE,), (surgery.any_bytes, surgery.words(CELLS)), read_table),
    "columns": Kind("a.parquet", parquets, (surgery.any_bytes,), read_columns),
    "tensors": Kind(
        "a.safetensors",
        tensors,
        (surgery.any_bytes, surgery.state_header),
        lambda path: load(Arrays(train=path.name, test_share=0.5), path.parent),
    ),
    "saved": Kind("a.pt", saved, (surgery.any_bytes, surgery.pickled), read_saved),
    "mapped": Kind("x.npy", npy, (surgery.any_bytes,), read_mapped),
    "picture": Kind("a.png", pictures, (surgery.any_bytes,), read_picture),
    "text": Kind("a.txt", lambda: (b"to be or not to be",), (surgery.any_bytes,), read_text),
    "log": Kind(METRICS, log, (surgery.any_bytes, surgery.json_lines), read_log),
    "outcome of a run": Kind(
        RUN_OF_KEPT, lambda: (kept_files()[RUN_OF_KEPT],), (surgery.any_bytes, signed), read_kept
    ),
    "plan of a comparison": Kind(
        plan.FILE, lambda: (kept_files()[plan.FILE],), (surgery.any_bytes, signed), read_kept
    ),
    "settings": Kind(
        "fac.toml",
        lambda: (TOML,),
        (surgery.any_bytes, surgery.words(WORDS)),
        lambda path: settings.load(str(path), str(path.parent)),
    ),
    "choices": Kind("choices.json", choices, (surgery.any_bytes, surgery.json_lines), read_choices),
    "manifest": Kind(
        "manifest.json",
        lambda: (json.dumps(MADE).encode(),),
        (surgery.any_bytes, surgery.json_lines),
        lambda path: earlier.listed(path.parent),
    ),
}
