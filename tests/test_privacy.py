"""What a user trains is the user's own: no command opens a socket, or leaves a file outside the folder it works in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fac.cli import COMMANDS

ROOT = Path(__file__).parents[1]
SPEC = "spec.fac.yaml"
TEXT = "letters/spec.yaml"
"""Of a network that tells the next byte, here of itself."""
BRIEF = ("--set", "train.epochs=1")

FAC = """
import json, sys
from fac.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["fac", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""

LIBRARY = f"""
from pathlib import Path
import fac
artifact = fac.compile(Path("{SPEC}"), backend="onnx")
artifact.write("built")
artifact.open().step([[0.0] * 64], [1])
"""

RUN_PY = """
import runpy, sys
sys.argv[1:] = ["data/train.npz", "data/test.npz", "--epochs", "1"]
runpy.run_path("built/run.py", run_name="__main__")
"""

# One process each, in this order. All but that of torch come to onnxruntime by a way of their own.
PROCESSES: tuple[tuple[tuple[str, ...], ...] | str, ...] = (
    (
        ("init",),
        ("check", "--backend", "onnx"),
        ("rule", "--all"),
        ("schema",),
        ("show", SPEC),
        ("show", SPEC, "-o", "a.png"),
        ("show", SPEC, "-o", "a.pdf"),
        ("diff", SPEC, SPEC),
        ("lock", SPEC),
        ("data", SPEC, "-o", "data"),
        ("backends",),
    ),
    (("train", SPEC, "--backend", "onnx", "--out", "run", *BRIEF),),
    (
        ("export", "run", "-o", "model.onnx"),
        ("plot", "run", "-o", "run.png"),
        ("report", "run", "-o", "run.html"),
        ("evaluate", "run", "--backend", "onnx"),
        ("predict", "run", "data/test.npz", "-o", "p.csv", "--backend", "onnx"),
        ("train", "--resume", "run", "--set", "train.epochs=2"),
    ),
    (("import", "torch", "own:network", "--input", "4", "-o", "own"),),
    (("import", "onnx", "model.onnx", "-o", "read"),),
    (
        ("train", TEXT, "--backend", "onnx", "--out", "text"),
        ("sample", "text", "--length", "3", "--backend", "onnx"),
    ),
    (
        ("compile", SPEC, "--backend", "torch"),
        ("compare", SPEC, "--rules", "bp,ldfa", "--seeds", "1", "--backend", "torch", *BRIEF),
        ("compare", SPEC, "--rules", "ldfa", "--seeds", "1", "--backend", "reference", *BRIEF),
        ("compare", SPEC, "--rules", "bp", "--seeds", "2", "--out", "kept", "--jobs", "2", *BRIEF),
        (
            "sweep",
            SPEC,
            "--over",
            "update.lr=0.1,0.2",
            "--set",
            "data.validation=0.25",
            "--jobs",
            "1",
            *BRIEF,
        ),
        ("study",),
        ("bench", "--list"),
    ),
    LIBRARY,
    RUN_PY,
)


def ran(folder: Path, code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A sealed process that works in `folder / "work"`, with its home and its temporary files beside it."""
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    others = ("ORT_DISABLE_TELEMETRY", "FAC_CACHE", "XDG_", "TORCHINDUCTOR_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    # Byte code that Python keeps for itself would be written by whatever process comes first.
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [sys.executable, "-P", str(ROOT / "tests/sealed.py"), code, *arguments]
    return subprocess.run(
        command, cwd=folder / "work", env=environment, capture_output=True, text=True, check=False
    )


def left(folder: Path) -> list[str]:
    """What lies in the home folder and in the one for temporary files."""
    return [str(path.relative_to(folder)) for name in ("home", "tmp") for path in (folder / name).rglob("*")]


def test_no_command_opens_a_socket_or_leaves_a_file_elsewhere(tmp_path: Path) -> None:
    commands = [line[0] for lines in PROCESSES if not isinstance(lines, str) for line in lines]
    assert set(commands) == set(COMMANDS)
    text = tmp_path / "work" / TEXT
    text.parent.mkdir(parents=True)
    text.write_text(
        "fac: 1\nname: letters\ninput: {shape: [6], classes: 256}\n"
        "layers: [{kind: embedding, num_embeddings: 256, out: 256}]\n"
        "loss: {kind: cross_entropy}\nfeedback: {rule: bp}\nupdate: {rule: sgd, lr: 0.1}\n"
        "data: {source: text, path: spec.yaml, length: 6}\ntrain: {epochs: 1, batch: 2}\n"
    )
    (tmp_path / "work" / "own.py").write_text(
        "import torch\n\n\ndef network():\n    return torch.nn.Sequential(torch.nn.Linear(4, 2))\n"
    )
    for lines in PROCESSES:
        code, arguments = (lines, ()) if isinstance(lines, str) else (FAC, (json.dumps(lines),))
        ended = ran(tmp_path, code, *arguments)
        assert ended.returncode == 0, (lines, ended.returncode, ended.stderr)
        assert left(tmp_path) == [], lines
    assert not list((tmp_path / "work").glob("torchinductor*"))  # which PyTorch makes where it may


@pytest.mark.parametrize(("said", "heard"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_onnxruntime_is_told_to_send_no_events_unless_the_user_wants_them(
    said: dict[str, str], heard: str, tmp_path: Path
) -> None:
    """Said before its import. What it does when it may is its own affair: some builds write at once, some never."""
    code = (
        "import os, sys\n"
        "class Seen:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
        "            sys.exit()\n"
        "sys.meta_path.insert(0, Seen())\n"
        "import fac_onnx.runtime"
    )
    ended = ran(tmp_path, code, **said)
    assert (ended.returncode, ended.stdout) == (0, f"{heard}\n"), ended.stderr


CHILD = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {!r}]) == -31)"
SOCKET = "import socket; socket.socket()"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (SOCKET, -signal.SIGSYS),
        ("import socket, threading; threading.Thread(target=socket.socket).start()", -signal.SIGSYS),
        (CHILD.format(SOCKET), 1),
        ("open('../made', 'w')", 99),
        ("import os; os.mkdir('../made')", 99),
        ("open('made', 'w').close()", 0),
    ],
)
def test_this_test_can_fail(code: str, status: int, tmp_path: Path) -> None:
    assert ran(tmp_path, code).returncode == status


def test_onnxruntime_is_imported_in_one_place() -> None:
    """Who imports it first decides whether it sends events: `fac_onnx.runtime`, which tells it not to."""
    importing = re.compile(r"^ *(import|from) onnxruntime\b|import_module\(.onnxruntime", re.MULTILINE)
    found = [
        str(file.relative_to(ROOT))
        for folder in ("fac", "backends", "benchmarks", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if importing.search(file.read_text("utf-8"))
    ]
    assert found == ["backends/fac_onnx/run_text.py", "backends/fac_onnx/runtime.py"]
