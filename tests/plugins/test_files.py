"""Kinds from a file: `--plugin`, `FAC_PLUGINS`, `fac.plugin.load`."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fac import plugins
from fac.diagnostics import FacError
from fac.plugins import files
from tests.forked import python

MINE = Path(__file__).parent / "mine.py"
SPEC = """\
fac: 1
name: ring
input: {shape: [2]}
layers:
  - {kind: linear, name: fc1, out: 6}
  - {kind: squash}
  - {kind: linear, name: out, out: 1}
loss: {kind: absolute}
feedback: {rule: ternary_feedback}
update: {rule: sign_descent, lr: 0.01, schedule: inverse_root}
data: {source: ring}
train: {epochs: 3, batch: 16}
probes: [{kind: weight_size}]
"""
LAWS = """
import sys
from fac import plugin

plugin.load(sys.argv[1])
from fac.plugins import FAMILIES, foreign, kinds
from fac.testing import check_declarations

held = []
for group in FAMILIES:
    own = foreign(group)
    for kind in kinds(group):
        if kind.spec in own:
            held.append(kind.name)
            if group not in ("fac.data", "fac.probes", "fac.loggers"):
                check_declarations(kind, kind.spec(lr=0.1) if group == "fac.updates" else None)
print(*held)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_bytes(MINE.read_bytes())
    (tmp_path / "ring.fac.yaml").write_text(SPEC)
    return tmp_path


def fac(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    ended = python(folder, "-m", "fac", *arguments, **environment)
    return ended.returncode, ended.stdout, ended.stderr


def test_all_families_of_a_file_train_alike_on_all_backends(folder: Path) -> None:
    found = []
    for backend in ("reference", "torch", "onnx"):
        status, _, err = fac(
            folder, "train", "ring.fac.yaml", "--plugin", "mine.py", "--backend", backend,
            "--precision", "float64", "--out", backend, "--log", "lines",
        )  # fmt: skip
        assert (status, err) == (0, ""), err
        lines = (folder / backend / "metrics.jsonl").read_text().splitlines()
        found.append([json.loads(line) for line in lines])
        first, *told = (folder / backend / "lines.txt").read_text().splitlines()
        assert first == "ring 0"
        losses = [line.split()[::2] for line in told if line.split()[1] == "test_loss"]
        assert losses == [[str(epoch["step"]), repr(epoch["test_loss"])] for epoch in found[-1]]
    names = ("train_loss", "test_loss", "fc1.size", "out.size")
    for name in names:
        reference, *others = ([epoch[name] for epoch in epochs] for epochs in found)
        assert len(reference) == 4, "three epochs, and before them"
        for other in others:
            assert other == pytest.approx(reference, rel=1e-12)
    assert found[0][-1]["train_loss"] < found[0][0]["train_loss"]


def test_a_file_is_found_by_option_by_environment_and_from_python(folder: Path) -> None:
    assert fac(folder, "check", "ring.fac.yaml")[0] == 1
    for arguments, environment in (
        (("--plugin", "mine.py"), {}),
        ((f"--plugin={folder / 'mine.py'}", "--plugin", "mine.py"), {}),  # one file, by two names
        ((), {"FAC_PLUGINS": f"{os.pathsep}mine.py"}),
    ):
        status, out, err = fac(folder, "check", "ring.fac.yaml", *arguments, **environment)
        assert (status, out) == (0, "no findings in 1 file\n"), err
    code = "from fac import plugin; plugin.load('mine.py'); import fac; print(fac.load('ring.fac.yaml').name)"
    assert python(folder, "-c", code).stdout == "ring\n"


def test_what_it_declares_holds_and_the_long_form_means_the_same(folder: Path) -> None:
    ended = python(folder, "-c", LAWS, "mine.py")
    assert ended.stderr == ""
    assert ended.stdout.split() == [
        "squash", "absolute", "ternary_feedback", "ternary", "sign_descent", "inverse_root", "weight_size",
        "lines", "ring",
    ]  # fmt: skip
    status, out, _ = fac(folder, "show", "ring.fac.yaml", "--expand", "--plugin", "mine.py")
    assert status == 0
    (folder / "long.fac.yaml").write_text(out)
    status, out, err = fac(folder, "diff", "ring.fac.yaml", "long.fac.yaml", "--plugin", "mine.py")
    assert (status, err) == (0, "")
    assert "no difference" in out or "same" in out, out


def test_the_example_of_the_page(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert [tag for tag, _ in blocks] == ["python", "", "text", "python"]
    code, commands, step, laws = (text for _, text in blocks)
    (folder / "ternary.py").write_text(code)
    for line in commands.splitlines():
        if not line.startswith(("fac train", "fac compare")):
            status, out, err = fac(folder, *shlex.split(line)[1:])
            assert (status, err) == (0, ""), (line, out)
    assert "weight transport: fc2, logits" in out
    (command,) = re.findall(r"^`fac (compile .*?)`", page, re.MULTILINE)
    assert fac(folder, *shlex.split(command))[0] == 0
    built = (folder / "built" / "step.py").read_text()
    assert all(f"    {line}\n" in built for line in step.splitlines())
    ended = python(folder, "-c", laws)
    assert (ended.returncode, ended.stderr) == (0, "")
    ended = python(folder, "-c", LAWS, "ternary.py")
    assert (ended.stderr, ended.stdout) == ("", "ternary_feedback ternary\n")


WRONG = {
    "a file that is not there": (None, "there is no plug-in `wrong.py`: name a Python file"),
    "no kinds": (
        "x = 1\n",
        "the plug-in `wrong.py` has no `KINDS`: a tuple of what it declares is needed, `KINDS = (...,)`",
    ),
    "one kind": (
        "KINDS = 3\n",
        "the plug-in `wrong.py` calls a int `KINDS`: a tuple of what it declares is needed, `KINDS = (...,)`",
    ),
    "an empty tuple": (
        "KINDS = ()\n",
        "the plug-in `wrong.py` declares nothing: its `KINDS` is empty",
    ),
    "what is no kind": (
        "KINDS = (3,)\n",
        "the plug-in `wrong.py` declares 3: a `LayerKind` or `BlockKind` is needed",
    ),
    **{
        f"a model that is a {model}": (
            f"from fac.plugin import *\nclass Mine({model}):\n    pass\nKINDS = (Mine,)\n",
            f"the plug-in `wrong.py` declares the model `Mine` in the place of its kind: a {needed} that names it is "
            "needed",
        )
        for model, needed in {
            "Layer": "`LayerKind` or `BlockKind`",
            "WeightedLayer": "`LayerKind` or `BlockKind`",
            "Loss": "`LossKind`",
            "ShortHand": "`RuleKind`",
            "Matrix": "`MatrixKind`",
            "Learning": "`LearningKind`",
            "Rule": "`UpdateKind`",
            "Schedule": "`ScheduleKind`",
            "Solve": "`SolveKind`",
            "Probe": "`ProbeKind`",
            "Data": "`DataKind`",
        }.items()
    },
    "an exception": (
        "\n\nKINDS = {}['x']\n",
        "the plug-in `wrong.py` cannot be run, at wrong.py:3: KeyError: 'x'",
    ),
    "no Python": (
        "KINDS = (\n",
        "the plug-in `wrong.py` cannot be run: SyntaxError: '(' was never closed (wrong.py, line 1)",
    ),
    "an end of the program": (
        "import sys\nsys.exit(0)\n",
        "the plug-in `wrong.py` cannot be run, at wrong.py:2: SystemExit: 0",
    ),
    "a kind of the core": (
        "from fac.plugin import *\n"
        "from typing import Literal\n"
        "class Relu(Layer):\n    kind: Literal['relu'] = 'relu'\n"
        "KINDS = (LayerKind('relu', Relu, same_shape, same_shape),)\n",
        "`relu` of group `fac.layers` is declared by both `fac.layers:KINDS` and `wrong.py`",
    ),
    "a kind twice": (
        "from fac.plugin import *\n"
        "from typing import Literal\n"
        "class Own(Layer):\n    kind: Literal['own'] = 'own'\n"
        "OWN = LayerKind('own', Own, same_shape, same_shape)\n"
        "KINDS = (OWN, OWN)\n",
        "`own` of group `fac.layers` is declared by `wrong.py` twice",
    ),
}


@pytest.fixture
def within(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files of this process, as if it had asked for no kinds."""
    monkeypatch.chdir(folder)
    assert not files.named()
    yield
    files.forget()


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_one_message(text: str | None, said: str, folder: Path) -> None:
    if text is not None:
        (folder / "wrong.py").write_text(text)

    def asked() -> None:
        files.run("wrong.py")
        plugins._found.__wrapped__("fac.layers")

    with pytest.raises(FacError) as error:
        asked()
    assert str(error.value) == said


@pytest.mark.usefixtures("within")
def test_two_files_that_declare_one_kind(folder: Path) -> None:
    (folder / "other.py").write_bytes(MINE.read_bytes())
    files.run("mine.py")
    files.run("other.py")
    with pytest.raises(FacError, match=r"is declared by both `mine\.py` and `other\.py`"):
        plugins._found.__wrapped__("fac.layers")


def test_the_command_line_says_so(folder: Path) -> None:
    status, out, err = fac(folder, "schema", "--plugin", "gone.py")
    assert (status, out, err) == (2, "", "fac: there is no plug-in `gone.py`: name a Python file\n")


def test_a_function_that_fails_is_told_with_its_line(folder: Path) -> None:
    text = MINE.read_text().replace("    (x,) = inputs\n", "    (x,) = missing\n")
    (folder / "mine.py").write_text(text)
    line = text.splitlines().index("    (x,) = missing") + 1
    status, out, err = fac(folder, "check", "ring.fac.yaml", "--plugin", "mine.py")
    assert status == 1
    assert "`forward` of the layer `squash`, from the plug-in `mine.py`, fails with NameError" in out + err
    assert f"mine.py:{line}" in out + err


SIGNS = """
from typing import Literal
from fac.plugin import *


class Signs(Matrix):
    kind: Literal["signs_of"] = "signs_of"


def apply(b, matrix, state, signals):
    d = signals.error
    up, down = (b.cast(sign, DType.FLOAT) for sign in (b.less(0.0, d), b.less(d, 0.0)))
    sign = b.sub(up, down)
    return signals.sent(b, b.mul(sign, b.mul(sign, sign)), signals.weight)


class SignErrors(ShortHand):
    rule: Literal["sign_errors"] = "sign_errors"


def expand(rule, program):
    return Expansion(tuple(through(node, Signs()) for node in layerwise(rule, program)))


KINDS = (MatrixKind("signs_of", Signs, lambda *_: (), apply), RuleKind("sign_errors", SignErrors, expand))
"""


def test_an_operator_that_reads_an_error_more_than_once_is_passed_once(folder: Path) -> None:
    (folder / "signs.py").write_text(SIGNS)
    assert fac(folder, "init", "net.fac.yaml")[0] == 0
    status, out, err = fac(
        folder, "show", "net.fac.yaml", "--plugin", "signs.py", "--set", "feedback={rule: sign_errors}"
    )
    assert (status, err) == (0, "")
    rows = [re.split(r"\s{2,}", line.strip())[4:6] for line in out.splitlines()[1:3]]
    assert rows == [["fc2 (through)", "signs_of"], ["logits (through)", "signs_of"]], out


LATE = """
import fac
from fac import plugin, plugins
from fac.diagnostics import FacError

{settling}
for _ in range(2):
    try:
        plugin.load("mine.py")
    except FacError as error:
        print(error)
print([name for name in plugins.FAMILIES if plugins.foreign(name)])
"""


@pytest.mark.parametrize(
    "settling",
    ["fac.check({'fac': 1})", "plugins.kinds('fac.data')", "from fac.testing import BackendConformance"],
)
def test_one_that_comes_too_late_is_refused_each_time_and_not_run(folder: Path, settling: str) -> None:
    ended = python(folder, "-c", LATE.format(settling=settling))
    assert ended.stderr == ""
    said = (
        "the plug-in `mine.py` comes too late: what kinds there are is settled by now; load it before any spec is read "
        "and before `fac.testing.BackendConformance` is imported, or name it in the environment, `FAC_PLUGINS`"
    )
    assert ended.stdout.splitlines() == [said, said, "[]"]


def test_one_that_is_there_is_loaded_again_without_a_word(folder: Path) -> None:
    code = "from fac import plugin; import fac.testing.suite; plugin.load('./mine.py')"
    ended = python(folder, "-c", code, FAC_PLUGINS="mine.py")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_environment_names_the_same_files_from_another_folder(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    code = (
        "import os; from fac import plugins; plugins.kinds('fac.data'); os.chdir('elsewhere'); "
        "print(plugins.blamed(KeyError()), *plugins.foreign('fac.layers').values())"
    )
    ended = python(folder, "-c", code, FAC_PLUGINS="mine.py")
    assert (ended.stdout, ended.stderr) == ("None mine.py\n", "")


def trained(folder: Path) -> str:
    status, _, err = fac(
        folder, "train", "ring.fac.yaml", "--plugin", "mine.py", "--backend", "reference", "--out", "run"
    )
    assert (status, err) == (0, "")
    return "run"


READERS = (
    ("evaluate", "run"),
    ("predict", "run", "x.npz", "-o", "y.npz"),
    ("export", "run", "-o", "ring.onnx"),
    ("export", "run", "--to", "state_dict", "-o", "ring.safetensors"),
    ("sample", "run"),
    ("train", "--resume", "run"),
)


def test_a_run_knows_its_plugin(folder: Path) -> None:
    trained(folder)
    np.savez(folder / "x.npz", x=np.zeros((1, 2)))
    for command in READERS:
        status, out, err = fac(folder, *command)
        assert (status, out) == (2, ""), command
        assert err == (
            f"fac: `{Path('run', 'state.safetensors')}` was trained with a plug-in that is not loaded, `mine.py`: name "
            "its file where it lies, as in `--plugin mine.py`, or in the environment, `FAC_PLUGINS`\n"
        )
    (folder / "elsewhere").mkdir()
    (folder / "mine.py").rename(folder / "elsewhere" / "mine.py")
    assert fac(folder, "evaluate", "run", "--plugin", "elsewhere/mine.py")[::2] == (0, "")


def test_a_run_knows_that_its_plugin_has_changed(folder: Path) -> None:
    trained(folder)
    (folder / "mine.py").write_text(f"{MINE.read_text()}\n# another\n")
    (folder / "ours.py").write_bytes((folder / "mine.py").read_bytes())
    changed = "`mine.py` changed after this run: what the plug-in declares may mean something else now\n"
    assert fac(folder, "evaluate", "run", "--plugin", "mine.py")[::2] == (0, changed)
    status, _, err = fac(folder, "evaluate", "run", "--plugin", "ours.py")
    assert (status, err) == (
        0, "this run was trained with `mine.py`, and its kinds are those of another plug-in now\n"
    )  # fmt: skip
    longer = ("train", "--resume", "run", "--plugin", "mine.py", "--set", "train.epochs=4")
    status, _, err = fac(folder, *longer)
    assert (status, err) == (0, f"{changed}training for 4 epochs instead of 3\n")
    # from here on the run is one of the new file
    assert fac(folder, "evaluate", "run", "--plugin", "mine.py")[::2] == (0, "")


def test_a_run_knows_no_plugin_of_which_it_has_no_kind(folder: Path) -> None:
    assert fac(folder, "init", "net.fac.yaml")[0] == 0
    arguments = ("--backend", "reference", "--set", "train.epochs=1", "--out", "run")
    assert fac(folder, "train", "net.fac.yaml", "--plugin", "mine.py", *arguments)[0] == 0
    assert fac(folder, "evaluate", "run")[::2] == (0, "")


def test_no_settings_file_and_no_spec_make_fac_run_code(folder: Path) -> None:
    ran = "open('ran', 'w').close()\nKINDS = ()\n"
    for name in ("fac_plugin.py", "plugin.py", "conftest.py", "mine.py"):
        (folder / name).write_text(ran)
    (folder / "fac.toml").write_text('plugins = ["mine.py"]\nplugin = "mine.py"\n')
    (folder / "ring.fac.yaml").write_text(SPEC + "plugins: [mine.py]\nplugin: mine.py\n")
    assert fac(folder, "check", ".")[0] in (1, 2)
    assert not (folder / "ran").exists()
