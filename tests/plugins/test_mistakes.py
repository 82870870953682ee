"""Mistakes in plug-ins: each is found by `fac check`, and told as the plug-in's, with its line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fac.testing.nets import linear, spec
from tests.forked import python

FAULTY = Path(__file__).parent / "faulty.py"
POINTS = {
    "layers": "LAYERS",
    "losses": "LOSSES",
    "feedback": "MATRICES",
    "learning": "LEARNING",
    "updates": "UPDATES",
    "probes": "PROBES",
    "rules": "RULES",
}


class Mistake(NamedTuple):
    """A spec that has a part in the mistake, and what is said of it."""

    sections: dict[str, Any]
    said: str
    place: str
    """Of the finding; empty where no finding can be made, and the file could not be checked."""


def layer(kind: str, said: str) -> tuple[str, Mistake]:
    """A layer named `act` between two linear ones."""
    layers = (linear("fc1", 6), {"kind": kind, "name": "act"}, linear("out", 3))
    return kind, Mistake({"layers": layers}, said, "layers[1].kind")


def through(kind: str, said: str, operator: Any = None) -> tuple[str, Mistake]:
    """As `layer`, with a route through it."""
    kind, mistake = layer(kind, said)
    routes = {"routes": ({"through": "act", "matrix": operator or {"kind": "random"}},)}
    return kind, mistake._replace(sections=mistake.sections | {"feedback": routes})


def crossed(kind: str, said: str) -> tuple[str, Mistake]:
    """As `layer`, where feedback goes through every weight."""
    kind, mistake = layer(kind, said)
    return kind, mistake._replace(sections=mistake.sections | {"feedback": {"rule": "fa"}})


def matrix(kind: str, said: str) -> tuple[str, Mistake]:
    """A feedback operator under `out`."""
    routes = {"routes": ({"through": "out", "matrix": {"kind": kind}},)}
    return kind, Mistake({"feedback": routes}, said, "layers[2].kind")


def update(kind: str, said: str) -> tuple[str, Mistake]:
    """An update rule. The first parameter is that of the last layer."""
    return kind, Mistake({"update": {"rule": kind, "lr": 0.1}}, said, "layers[2].kind")


def probe(kind: str, said: str) -> tuple[str, Mistake]:
    """A probe."""
    return kind, Mistake({"probes": ({"kind": kind},)}, said, "")


MISTAKES = dict(
    (
        layer("infer_raises", "fails with KeyError: 'shape'"),
        layer("infer_returns_a_shape", "returns tuple where Facts are needed"),
        layer("infer_says_a_list", "says the shape [6] of `act`: a tuple of sizes is needed"),
        layer("infer_calls_tensors_wrongly", "calls its tensors `scale`: each needs a name of its own"),
        layer("infer_says_an_axis", "says that channels lie along axis 1 of [6]: there is no such axis"),
        layer("infer_names_no_tensor", "says the weight `act.weight`, which is none of its tensors"),
        layer("infer_trains_a_statistic", "says that `act.count` is a statistic and trainable: updates move"),
        layer("forward_moves_a_parameter", "moves `scale`, and may move `count`: updates move parameters"),
        layer("forward_moves_to_another_shape", "returns f[] where f[2] is needed, the shape of `act.count`"),
        layer("forward_makes_nothing_and_moves", "returns NoneType where a Value is needed"),
        layer("forward_does_not_fit", "fails with TypeRuleError: matmul contracts 6 with N"),
        layer("forward_knows_no_op", "fails with TypeRuleError: there is no op `swish`"),
        layer("forward_returns_nothing", "returns NoneType where a Value is needed"),
        layer("forward_returns_integers", "returns i[N, 6] where f[N, 6] is needed, the shape of `infer`"),
        layer(
            "infer_says_a_vector",
            "says the weight `act.weight` [36], and the tensor [36]: the same numbers as [reads, ...] are needed",
        ),
        layer("forward_reads_no_weight", "makes its output without the weight `weight`"),
        through(
            "forward_scales_the_weight",
            "reads the weight by `mul`: a route through the layer has to find a product with it",
        ),
        through(
            "forward_makes_other_channels",
            "reads the weight by `matmul`, in which the first axis of the weight does not make the channels",
        ),
        through(
            "forward_reads_the_weight_twice",
            "reads the weight by `matmul` and `matmul`: a route through the layer replaces one product",
        ),
        through(
            "forward_turns_the_weight",
            "transposes its weight: the SVD is that of a weight kept as [reads, ...]",
            {"kind": "low_rank", "rank": 2, "init": "svd"},
        ),
        layer("forward_drops_the_product", "makes its output without the weight `weight`"),
        layer(
            "forward_moves_nothing", "does not move `count` in training, which `infer` says is a statistic"
        ),
        crossed(
            "forward_names_no_weight",
            "multiplies with `act.gate`, and does not name it as the weight",
        ),
        crossed("forward_multiplies_twice", "multiplies with `act.gate`, and does not name it as the weight"),
        crossed(
            "forward_reads_a_statistic",
            "multiplies with `act.mean`, and does not name it as the weight",
        ),
        through(
            "forward_multiplies_weights",
            "multiplies the weight with f[6, 6], which is the same for all samples: no error passes there",
        ),
        layer("block_raises", "fails with KeyError: 'shape'"),
        layer("block_returns_nothing", "returns NoneType where an iterator of nodes is needed"),
        layer("block_yields_a_layer", "yields Relu where a node is needed"),
        layer("block_yields_nothing", "yields no layer"),
        layer("block_yields_twice", "yields `act.a` twice"),
        layer("block_yields_one_of_two", "makes 2 layers, and yields 1 of them"),
        layer("block_reads_ahead", "yields `act.b`, and has not yet yielded `act.a`, which that reads"),
        layer("block_reads_what_is_not", "yields `act.a`, which reads `nope`, and that there is not"),
        layer("block_has_its_name_inside", "yields `act.b` behind the layer that bears the block's own name"),
        layer("block_makes_its_own", "yields `elsewhere`, which it did not make by `inside`"),
        matrix("apply_returns_the_error", "returns f[N, 3] where f[N, 6] is needed"),
        matrix("learn_fails_late", "fails with ZeroDivisionError"),
        matrix("learn_teaches_another", "teaches `P`, but there is `B`"),
        matrix(
            "learn_another_shape", "returns f[N, 3] where f[3, 6] is needed, the shape of `out.feedback.B`"
        ),
        update("apply_moves_no_slot", "moves the state nothing, but `slots` says speed"),
        update(
            "apply_gives_another_shape", "returns f[6] where f[3, 6] is needed, the shape of `out.weight`"
        ),
        probe("build_raises", "fails with TypeRuleError: dot takes equal types of FLOAT"),
        probe("build_measures_a_vector", "returns f[6] where f[] is needed"),
    )
) | {
    "loss_of_each_sample": Mistake(
        {"loss": {"kind": "loss_of_each_sample"}}, "returns f[N] where f[] is needed", "loss.kind"
    ),
    "full_is_no_tensor": Mistake(
        {
            "feedback": {
                "routes": (
                    {"through": "out", "matrix": {"kind": "random", "learn": {"rule": "full_is_no_tensor"}}},
                )
            }
        },
        "fails with AttributeError",
        "layers[2].kind",
    ),
}


def declared(kind: str, said: str) -> tuple[str, tuple[dict[str, Any], str]]:
    """A layer that says of itself what is no answer."""
    return kind, ({"layers": (linear("fc1", 6), {"kind": kind}, linear("out", 3))}, said)


UNCHECKED: dict[str, tuple[dict[str, Any], str]] = {
    "expand_raises": ({"feedback": {"rule": "expand_raises"}}, "fails with AttributeError"),
    "validator_raises": (
        {"layers": (linear("fc1", 6), {"kind": "validator_raises", "size": 2}, linear("out", 3))},
        "KeyError: 2",
    ),
    **dict(
        (
            declared("curve_is_a_function", "returns builtin_function_or_method where a Curve is needed"),
            declared("curve_overflows", "returns a Curve that is not a finite number everywhere"),
            declared("traits_are_words", "returns set where Traits are needed"),
        )
    ),
}
"""Where the spec cannot be read or lowered, or the checks get no answer."""


def line_of(name: str) -> int:
    """The first line from the definition of a function on that says "here"."""
    lines = FAULTY.read_text("utf-8").splitlines()
    names = [f"def {name}(", f'"{name}" =', f'= "{name}"']
    start = next(k for k, line in enumerate(lines) if any(part in line for part in names))
    return 1 + next(k for k in range(start, len(lines)) if lines[k].endswith("# here"))


class Installed:
    """A folder with the faulty plug-in in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        info = home / "faulty-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.2\n")
        points = "".join(f"[fac.{group}]\nfaulty = faulty:{name}\n" for group, name in POINTS.items())
        (info / "entry_points.txt").write_text(points)
        shutil.copy(FAULTY, home)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return python(self.home, "-m", "fac", *arguments, PYTHONPATH=str(self.home))

    def write(self, name: str, sections: dict[str, Any]) -> None:
        """A spec file."""
        layers = (linear("fc1", 6), {"kind": "relu"}, linear("out", 3))
        data = spec(layers, probes=()) | sections
        (self.home / f"{name}.fac.json").write_text(json.dumps(data))


@pytest.fixture(scope="module")
def fac(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def findings(fac: Installed) -> dict[str, list[Any]]:
    """Of all the specs, from one process."""
    for name, mistake in MISTAKES.items():
        fac.write(name, mistake.sections)
    ended = fac("check", "--json", *(f"{name}.fac.json" for name in MISTAKES))
    assert ended.returncode == 1, ended.stderr
    found: dict[str, list[Any]] = {name: [] for name in MISTAKES}
    for row in json.loads(ended.stdout)["findings"]:
        found[row["file"].removesuffix(".fac.json")].append(row)
    return found


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_finding_that_names_the_plug_in_and_the_line(
    name: str, findings: dict[str, list[Any]]
) -> None:
    mistake = MISTAKES[name]
    (row,) = findings[name]
    assert row["code"] == "FAC402"
    assert row["path"] == mistake.place
    assert f"`{name}`, from the plug-in `faulty 1.2`, {mistake.said}" in row["message"]
    assert row["help"].endswith(f"mend the plug-in at faulty.py:{line_of(name)}, or tell its authors")


@pytest.mark.parametrize("feedback", [{"rule": "bp"}, {"rule": "shallow"}])
def test_where_no_error_is_meant_to_be_replaced_a_layer_may_multiply_as_it_likes(
    feedback: dict[str, Any], fac: Installed
) -> None:
    sections = MISTAKES["forward_multiplies_twice"].sections | {"feedback": feedback}
    fac.write("exact", sections)
    assert json.loads(fac("check", "--json", "exact.fac.json").stdout)["findings"] == []


@pytest.mark.parametrize("name", UNCHECKED)
def test_a_mistake_that_ends_the_check_is_one_line(name: str, fac: Installed) -> None:
    sections, said = UNCHECKED[name]
    fac.write(name, sections)
    ended = fac("check", f"{name}.fac.json")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()[:1]
    assert said in line
    assert "`faulty 1.2`" in line
    assert f"faulty.py:{line_of(name)}" in line
    assert "internal error" not in ended.stderr


@pytest.mark.parametrize("command", ["compile", "show", "train"])
def test_other_commands_refuse_with_the_finding(command: str, fac: Installed) -> None:
    fac.write(command, MISTAKES["forward_does_not_fit"].sections)
    ended = fac(command, f"{command}.fac.json")
    assert ended.returncode == 1
    assert "error[FAC402]: `act` cannot be built" in ended.stderr


def test_a_loss_without_a_derivative(fac: Installed) -> None:
    fac.write("labels", {"loss": {"kind": "loss_of_labels"}})
    (row,) = json.loads(fac("check", "--json", "labels.fac.json").stdout)["findings"]
    assert (row["code"], row["path"]) == ("FAC220", "loss.kind")
    assert row["message"].startswith("`loss`, of the plug-in `faulty 1.2`, reads `out` by `argmax`")
