"""`fac train --init` and `--fork`: from parameters of a file or a run, and from the whole state of a run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import fac
from fac.training import checkpoint
from tests.cli.conftest import DIGITS

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")
NOTHING = ("--set", "update.lr=1e-40", "--set", "train.epochs=1")
"""A training after which the parameters are what it started from."""
CONSTANT = ("--set", "update.schedule=constant")


def same(one: str, other: str) -> None:
    """Whether the states of two runs are equal to the bit."""
    a, b = checkpoint.load(Path(one)).state, checkpoint.load(Path(other)).state
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def trained(run: Run, spec: Path) -> Path:
    """A run of one epoch on float64, in `a`."""
    assert run("train", spec, *REFERENCE, *CONSTANT, "--set", "train.epochs=1", "--out", "a")[0] == 0
    return Path("a")


@pytest.fixture
def parameters(trained: Path) -> dict[str, Any]:
    state = checkpoint.load(trained).state
    return {name: state[name] for name in ("fc1.weight", "fc1.bias", "logits.weight", "logits.bias")}


def test_a_training_starts_from_the_parameters_of_a_run(
    run: Run, spec: Path, trained: Path, parameters: dict[str, Any]
) -> None:
    status, out, err = run("train", spec, *REFERENCE, *NOTHING, "--init", "a", "--out", "b", "--json")
    assert status == 0
    assert err.startswith(
        "from `a/state.safetensors`: 4 of 4 parameters of `digits-small`\n"
        "  matched (4): `fc1.weight` [16, 64], `fc1.bias` [16], `logits.weight` [10, 16], `logits.bias` [10]\n"
    )
    found = checkpoint.load(Path("b"))
    for name, array in parameters.items():
        np.testing.assert_array_equal(found.state[name], array)
    assert not found.state["fc1.weight.momentum"].any() or found.step == 21
    origin = json.loads(out)["origin"]
    digest = hashlib.sha256(Path("a/state.safetensors").read_bytes()).hexdigest()
    spec_hash = checkpoint.load(trained).about["spec_hash"]
    assert origin == {
        "run": "a", "sha256": digest, "step": 21, "name": "digits-small", "spec_hash": spec_hash
    }  # fmt: skip
    assert json.loads(found.about["origin"]) == origin


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt", "w.pth"])
def test_files_of_arrays_are_read(run: Run, spec: Path, parameters: dict[str, Any], file: str) -> None:
    given = {name: np.array(array, np.float32) for name, array in parameters.items()}
    counted = given | {"norm.num_batches_tracked": np.array(3)}
    if file == "w.safetensors":
        save_file(counted, file)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in counted.items()}, file)
    status, _, err = run("train", spec, *REFERENCE, *NOTHING, "--init", file, "--out", "b")
    assert status == 0, err
    found = checkpoint.load(Path("b"))
    for name, array in given.items():
        np.testing.assert_array_equal(found.state[name], array)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert json.loads(found.about["origin"]) == {"file": file, "sha256": digest}


def test_bfloat16_of_pytorch_is_read_exactly(run: Run, spec: Path, parameters: dict[str, Any]) -> None:
    torch.save({name: torch.from_numpy(array).bfloat16() for name, array in parameters.items()}, "w.pt")
    assert run("train", spec, *REFERENCE, *NOTHING, "--init", "w.pt", "--out", "b")[0] == 0
    for name, array in parameters.items():
        wanted = torch.from_numpy(array).bfloat16().float().numpy()
        np.testing.assert_array_equal(checkpoint.load(Path("b")).state[name], wanted)


def test_numbers_that_are_kept_with_their_signs_turned_are_read(
    run: Run, spec: Path, parameters: dict[str, Any]
) -> None:
    """The imaginary part of what is conjugated has a mark in PyTorch, and no numbers of its own."""
    tensors = {name: torch.from_numpy(array) for name, array in parameters.items()}
    bias = torch.complex(torch.zeros(16), torch.arange(1.0, 17.0)).conj().imag
    assert bias.is_neg()
    torch.save(tensors | {"fc1.bias": bias}, "w.pt")
    assert run("train", spec, *REFERENCE, *NOTHING, "--init", "w.pt", "--out", "b")[0] == 0
    np.testing.assert_array_equal(checkpoint.load(Path("b")).state["fc1.bias"], -np.arange(1.0, 17.0))


@pytest.mark.parametrize("start", ["module.", "model.net."])
def test_weights_of_a_module_that_wraps_another_name_the_part(
    start: str, run: Run, spec: Path, parameters: dict[str, Any]
) -> None:
    save_file({f"{start}{name}": array for name, array in parameters.items()}, "w.safetensors")
    status, _, err = run("train", spec, *REFERENCE, "--init", "w.safetensors")
    assert status == 2
    assert f"all names there begin with `{start}`" in err
    assert f"save the `state_dict()` of that part, `.{start[:-1]}`\n" in err


def test_feedback_that_starts_from_weights_starts_from_those_that_are_given(
    run: Run, spec: Path, trained: Path, parameters: dict[str, Any]
) -> None:
    fixed = "read: {rule: fixed}, write: {rule: fixed}"
    svd = (
        "--set",
        f"feedback={{routes: [{{through: logits, matrix: {{kind: low_rank, rank: 4, init: svd, {fixed}}}}}]}}",
    )
    status, _, err = run("train", spec, *REFERENCE, *NOTHING, *svd, "--init", "a", "--out", "b")
    assert status == 0, err
    state = checkpoint.load(Path("b")).state
    pair = state["logits.feedback.Q"] @ state["logits.feedback.P"]
    u, s, vt = np.linalg.svd(parameters["logits.weight"].T, full_matrices=False)
    np.testing.assert_allclose(pair, (u[:, :4] * s[:4]) @ vt[:4], atol=1e-12)


def test_what_does_not_fit_is_told_and_refused_unless_it_may_be_a_part(
    run: Run, spec: Path, parameters: dict[str, Any]
) -> None:
    del parameters["fc1.bias"]
    save_file(parameters | {"head.weight": np.ones((2, 2))}, "w.safetensors")
    other = ("--set", "layers.logits.out=12", "--set", "feedback.rank=10")
    status, _, err = run("train", spec, *REFERENCE, *other, "--init", "w.safetensors", "--out", "b")
    assert status == 2
    assert "  matched (1): `fc1.weight` [16, 64]\n" in err
    assert (
        "  another shape (2): `logits.weight` is [10, 16] there and [12, 16] here, "
        "`logits.bias` is [10] there and [12] here\n"
    ) in err
    assert "  not in the file (1): `fc1.bias`\n" in err
    assert "  left out (1): `head.weight`\n" in err
    assert err.endswith(
        "fac: `w.safetensors` and `digits-small` do not have the same parameters: add `--init-partial` to take what "
        "fits, and draw the rest as for a new training\n"
    )
    assert not Path("b").exists()
    taken = ("--init", "w.safetensors", "--init-partial", "--out", "b")
    assert run("train", spec, *REFERENCE, *other, *NOTHING, *taken)[0] == 0
    drawn = fac.compile(spec, overrides=[*other[1::2]], backend="reference").compiled.initial()
    state = checkpoint.load(Path("b")).state
    np.testing.assert_array_equal(state["fc1.weight"], parameters["fc1.weight"])
    np.testing.assert_array_equal(state["logits.weight"], drawn["logits.weight"])


def test_adapters_begin_anew_beside_the_weights_of_a_file_and_go_back_into_them(
    run: Run, spec: Path, trained: Path, parameters: dict[str, Any]
) -> None:
    adapters = (
        "--set",
        "adapters=[{match: fc1, kind: lora, rank: 2, alpha: 4}]",
        "--set",
        "feedback={rule: bp}",
    )
    nobody = (
        "adapters stand beside frozen weights that nobody has trained, `fc1.base_layer`: start from trained"
    )
    assert nobody in run("train", spec, *REFERENCE, *NOTHING, *adapters, "--out", "random")[2]
    status, _, err = run("train", spec, *REFERENCE, *adapters, "--init", "a", "--out", "b")
    assert (status, nobody in err) == (0, False), err
    assert "  matched (4): `fc1.base_layer.weight` [16, 64], `fc1.base_layer.bias` [16], " in err
    assert "  adapters, which begin anew (2): `fc1.lora_A.weight`, `fc1.lora_B.weight`\n" in err
    state = checkpoint.load(Path("b")).state
    np.testing.assert_array_equal(state["fc1.base_layer.weight"], parameters["fc1.weight"])
    assert run("export", "b", "--to", "state_dict", "-o", "merged.safetensors")[0] == 0
    product = 2 * state["fc1.lora_B.weight"] @ state["fc1.lora_A.weight"]
    assert np.abs(product).max() > 1e-3
    merged = load_file("merged.safetensors")
    np.testing.assert_allclose(merged["fc1.weight"], parameters["fc1.weight"] + product, atol=1e-15)
    assert run("train", spec, *REFERENCE, *NOTHING, "--init", "merged.safetensors", "--out", "c")[0] == 0
    assert run("export", "b", "--to", "peft", "-o", "apart")[0] == 0
    apart = load_file("apart/adapter_model.safetensors")
    np.testing.assert_array_equal(apart["base_model.model.fc1.lora_A.weight"], state["fc1.lora_A.weight"])
    assert json.loads(Path("apart/adapter_config.json").read_text())["r"] == 2
    assert "exists: name another folder" in run("export", "b", "--to", "peft", "-o", "apart")[2]
    assert "has no adapters" in run("export", "a", "--to", "peft", "-o", "other")[2]
    assert not Path("other").exists()


def test_a_network_without_adapters_starts_from_the_merged_weights_of_one_that_has_them(
    run: Run, spec: Path, trained: Path
) -> None:
    def adapters(match: str, rank: int = 2) -> tuple[str, ...]:
        group = f"{{match: '{match}', kind: lora, rank: {rank}, alpha: 4}}"
        return "--set", f"adapters=[{group}]", "--set", "feedback={rule: bp}"

    assert run("train", spec, *REFERENCE, *adapters("*"), "--init", "a", "--out", "b")[0] == 0
    for name, where in {"digest": "b", "file": "b/state.safetensors"}.items():
        status, _, err = run("train", spec, *REFERENCE, *NOTHING, "--init", where, "--out", name)
        assert status == 0, err
        assert "4 of 4 parameters" in err
        assert "  adapters, merged into the weights beside them (2): `fc1`, `logits`\n" in err
        assert run("export", "b", "--to", "state_dict", "-o", f"{name}.safetensors")[0] == 0
        state = checkpoint.load(Path(name)).state
        for key, array in load_file(f"{name}.safetensors").items():
            np.testing.assert_array_equal(state[key], array)
    part = ("train", spec, *REFERENCE, *NOTHING, *adapters("fc1"), "--init", "b", "--out", "c")
    status, _, err = run(*part)
    assert status == 0, err
    assert "  adapters, merged into the weights beside them (1): `logits`\n" in err
    state, before = (checkpoint.load(Path(place)).state for place in ("c", "b"))
    for key in ("fc1.base_layer.weight", "fc1.lora_A.weight", "fc1.lora_B.weight"):
        np.testing.assert_array_equal(state[key], before[key])
    np.testing.assert_array_equal(
        state["logits.weight"], checkpoint.load(Path("digest")).state["logits.weight"]
    )


def test_files_that_hold_no_parameters_are_one_message(
    run: Run, spec: Path, parameters: dict[str, Any]
) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return os.system, ("touch ran",)

    anew = "save `module.state_dict()` with `torch.save`, or as a `.safetensors` file"
    tensors = {name: torch.from_numpy(array) for name, array in parameters.items()}
    holds = {
        "a.pt": (torch.nn.Linear(2, 2), f"is damaged, or holds more than arrays by name: {anew}"),
        "b.pt": (
            {"model": tensors},
            "holds a mapping `model`, and no arrays by name: save that mapping alone",
        ),
        "c.pt": (torch.ones(2), f"holds a `Tensor`, and no arrays by name: {anew}"),
        "code.pt": ({"fc1.weight": Code()}, f"is damaged, or holds more than arrays by name: {anew}"),
    }
    for file, (content, message) in holds.items():
        torch.save(content, file)
        status, _, err = run("train", spec, *REFERENCE, "--init", file)
        assert (status, err) == (2, f"fac: `{file}` {message}\n")
    assert not Path("ran").exists()
    torch.save({"fc1.weight": torch.ones(1).expand(1 << 40)}, "d.pt")
    status, _, err = run("train", spec, *REFERENCE, "--init", "d.pt")
    assert status == 2
    assert "nothing of `d.pt` fits `digits-small`" in err
    torch.save({"fc1.weight": torch.ones(1, dtype=torch.bfloat16).expand(1 << 40)}, "e.pt")
    assert "repeats numbers that are stored once" in run("train", spec, *REFERENCE, "--init", "e.pt")[2]
    torch.save(tensors | {"fc1.bias": torch.full((16,), float("nan"))}, "f.pt")
    assert "`fc1.bias` in `f.pt` holds numbers that are not finite" in run("train", spec, "--init", "f.pt")[2]
    torch.save(tensors | {"fc1.bias": torch.ones(16, dtype=torch.complex64)}, "g.pt")
    assert (
        "`fc1.bias` in `g.pt` holds complex64, and parameters are real"
        in run("train", spec, "--init", "g.pt")[2]
    )
    torch.save(tensors | {"x": 3}, "h.pt")
    assert "`x` in `h.pt` is a `int`, and no array" in run("train", spec, "--init", "h.pt")[2]
    torch.save({1: torch.ones(2)}, "i.pt")
    assert (
        "`i.pt` names an array by `1`, a `int`, and not by a text" in run("train", spec, "--init", "i.pt")[2]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"fc1.bias": torch.quantize_per_tensor(torch.ones(16), 0.1, 0, torch.qint8)}, "q.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, _, err = run("train", spec, "--init", "q.pt")
    assert (status, err.startswith("fac: `fc1.bias` in `q.pt` is quantised: save `dequantize()`")) == (
        2,
        True,
    )
    mirrored = torch.zeros(1, dtype=torch.complex64).conj().imag.expand(1 << 40)
    torch.save({"fc1.bias": mirrored}, "m.pt")
    assert "repeats numbers that are stored once" in run("train", spec, "--init", "m.pt")[2]
    assert "no file of arrays by its name, nor a run" in run("train", spec, "--init", spec)[2]
    assert "there is no file `gone.pt`" in run("train", spec, "--init", "gone.pt")[2]


def test_a_name_steers_no_terminal(run: Run, spec: Path) -> None:
    save_file({"\x1b[31mred\nline": np.ones(2)}, "w.safetensors")
    status, _, err = run("train", spec, *REFERENCE, "--init", "w.safetensors")
    assert status == 2
    assert "\x1b" not in err
    assert len(err.splitlines()) == 5


def test_a_checkpoint_that_is_not_what_was_written_is_refused(run: Run, spec: Path, trained: Path) -> None:
    content = bytearray(Path("a/state.safetensors").read_bytes())
    content[-1] ^= 1
    Path("w.safetensors").write_bytes(content)
    status, _, err = run("train", spec, *REFERENCE, "--init", "w.safetensors")
    assert status == 2
    assert "is not what was written, by its SHA-256" in err


def test_options_that_exclude_each_other(run: Run, spec: Path, trained: Path) -> None:
    for more in (("--init", "a", "--fork", "a"), ("--init", "a", "--resume", "a"), ("--init-partial",)):
        status, _, err = run("train", spec, *more)
        assert status == 2
        assert "name one of them" in err or "add that" in err
    unit = ("--set", "feedback={rule: dfa}", "--set", "train.prealign=unit")
    status, _, err = run("train", spec, *REFERENCE, "--init", "a", *unit)
    assert status == 2
    assert "`train.prealign` sets the weights that `--init` gives: leave one out" in err
    status, _, err = run("train", "--fork", spec)
    assert (status, err) == (
        2,
        f"fac: `{spec}` is a spec, and no checkpoint: name the folder of a run of it\n",
    )
    status, _, err = run("train", "--fork", "a/state.safetensors")
    said = "fac: `a/state.safetensors` is no folder of a run: `--init` takes the parameters of a file\n"
    assert (status, err) == (2, said)


def test_a_fork_with_the_same_spec_is_the_run_that_goes_on(run: Run, trained: Path) -> None:
    longer = ("--set", "train.epochs=3")
    status, _, err = run("train", "--fork", "a", *longer, "--out", "b")
    assert status == 0
    assert err.startswith("from `a` after step 21:\n  `train.epochs` is 1 there and 3 here\n")
    assert run("train", "--resume", "a", *longer)[0] == 0
    same("a", "b")
    logs = [Path(folder, "metrics.jsonl").read_text().splitlines() for folder in ("a", "b")]
    assert [json.loads(line)["train_loss"] for line in logs[0]] == [
        json.loads(line)["train_loss"] for line in logs[1]
    ]
    assert json.loads(checkpoint.load(Path("b")).about["origin"])["run"] == "a"


@pytest.mark.parametrize("how", ["init", "fork"])
def test_what_was_begun_so_resumes_to_the_bit(run: Run, spec: Path, trained: Path, how: str) -> None:
    begin = ("--init", "a", spec) if how == "init" else ("--fork", "a")
    changed = (*CONSTANT, "--set", "update.lr=0.01", "--set", "train.epochs=3")
    assert run("train", *begin, *REFERENCE, *changed, "--out", "whole")[0] == 0
    parts = (*CONSTANT, "--set", "update.lr=0.01", "--set", "train.epochs=2")
    assert run("train", *begin, *REFERENCE, *parts, "--out", "b")[0] == 0
    before = checkpoint.load(Path("b")).about["origin"]
    assert run("train", "--resume", "b", "--set", "train.epochs=3")[0] == 0
    same("whole", "b")
    assert checkpoint.load(Path("b")).about["origin"] == before


def test_a_fork_says_what_it_begins_anew(run: Run, trained: Path) -> None:
    other = ("--set", "update={rule: adam, lr: 0.01}", "--set", "feedback.rank=8", "--set", "train.epochs=2")
    status, _, err = run("train", "--fork", "a", *other, "--out", "b")
    assert status == 0
    assert '  `update.rule` is "sgd" there and "adam" here\n' in err
    assert "  `update.momentum` is 0.9 there and no setting here\n" in err
    assert "null" not in err
    assert "  left out (7): `fc1.bias.momentum`, " in err
    assert "`logits.feedback.P`, `logits.feedback.Q`" in err
    assert "what the update keeps is new, so that this begins with step 0\n" in err
    assert checkpoint.load(Path("b")).step == 42
    lines = Path("b/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 21, 42]


def test_a_fork_that_cannot_go_on_is_refused(run: Run, trained: Path) -> None:
    cases = {
        "train.batch=32": "`train.batch` is 64 in `a/state.safetensors` and 32 here, so its epochs cannot go on",
        "train.seed=0": "nothing is left to train: 1 epochs are done; ask for more, as by `--set train.epochs=2`",
        "layers.fc1.out=8": "not all parameters of `digits-small` in their shapes: `fc1.weight`, `fc1.bias`",
    }
    for change, message in cases.items():
        status, _, err = run("train", "--fork", "a", "--set", change, "--out", "b")
        assert status == 2
        assert message in err
        assert not Path("b").exists()


NORM = DIGITS.replace("  - {kind: relu}\n", "  - {kind: batch_norm, name: n1}\n  - {kind: relu}\n")
STILL = ("--set", "layers.n1.trainable=false")
ZEROS = ("--set", "layers.fc1.init=zeros", "--set", "layers.logits.init=zeros")


def test_what_is_said_of_initial_values_is_said_where_a_training_has_them(run: Run, spec: Path) -> None:
    spec.write_text(NORM)
    short, longer = ("--set", "train.epochs=1"), ("--set", "train.epochs=3")
    assert run("train", spec, *REFERENCE, *CONSTANT, *short, "--out", "a")[0] == 0
    changed = (*REFERENCE, *CONSTANT, *STILL, *ZEROS)

    def said(*arguments: object) -> list[str]:
        status, _, err = run("train", *arguments)
        assert status == 0, err
        return sorted(re.findall(r"^warning\[(\w+)\]", err, re.MULTILINE))

    frozen, zero = "FAC314", "FAC216"
    assert said(spec, *changed, *short, "--out", "b") == [zero, zero, frozen]
    assert said("--resume", "b", "--set", "train.epochs=2") == [zero, zero, frozen]
    assert said(spec, *changed, *short, "--init", "a", "--out", "c") == []
    assert said("--resume", "c", "--set", "train.epochs=2") == []
    assert said("--fork", "a", *STILL, "--set", "train.epochs=2", "--out", "d") == []
    state = checkpoint.load(Path("a")).state
    part = {name: state[name] for name in ("fc1.weight", "fc1.bias", "logits.bias")}
    save_file(part, "part.safetensors")
    taken = ("--init", "part.safetensors", "--init-partial", "--out", "e")
    assert said(spec, *changed, *longer, *taken) == [frozen]
