"""`fac sample`: text from a run, and no byte of it that steers a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fac.training import checkpoint

Run = Callable[..., tuple[int, str, str]]
SPEC = """\
fac: 1
name: letters
input: {shape: [6], classes: 256}
layers:
  - {kind: embedding, name: bytes, num_embeddings: 256, out: 8}
  - {kind: attention, name: mix, heads: 2, causal: true}
  - {kind: linear, name: logits, out: 256}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 4}
update: {rule: adam, lr: 0.05}
data: {source: text, path: t.txt, length: 6}
train: {epochs: 12, batch: 8}
"""


def trained(run: Run) -> None:
    Path("t.txt").write_text("abc" * 200)
    Path("s.fac.yaml").write_text(SPEC)
    status, _, err = run("train", "s.fac.yaml", "--out", "r", "--backend", "reference")
    assert (status, err) == (0, "")


def test_a_network_goes_on_with_what_it_has_learned(run: Run) -> None:
    trained(run)
    for place in ("r", "r/state.safetensors"):
        status, out, err = run("sample", place, "--prompt", "bca", "--length", 20, "--temperature", 0)
        assert (status, out, err) == (0, ("bca" * 8)[:23] + "\n", "")


def test_it_says_which_of_two_states_it_takes(run: Run) -> None:
    """Only where there are two, and not in the text: that is for programs, too."""
    Path("t.txt").write_text("abc" * 200)
    Path("s.fac.yaml").write_text(SPEC.replace("length: 6}", "length: 6, validation: 0.2}"))
    keeping = ("--set", "train.keep=best", "--set", "train.epochs=2")
    assert run("train", "s.fac.yaml", "--out", "r", "--backend", "reference", *keeping)[0] == 0
    ask = ("--prompt", "bca", "--length", 3, "--temperature", 0)
    _, best, told = run("sample", "r", *ask)
    offered = checkpoint.offered(Path("r"))
    assert offered.place.name == "best.safetensors"
    assert told == f"the state after step {offered.step}{offered.whose}\n"
    assert "the best by `validation_loss` (" in told
    assert run("sample", "r/best.safetensors", *ask)[1:] == (best, told)
    assert run("sample", "r/state.safetensors", *ask)[2] == ""


def test_the_backends_write_the_same(run: Run) -> None:
    trained(run)
    options = ("--prompt", "ab", "--length", 30, "--temperature", 1.5, "--seed", 4)
    texts = [run("sample", "r", *options, "--backend", name) for name in ("reference", "torch", "onnx")]
    assert len(set(texts)) == 1
    assert texts[0][0] == 0


def test_what_cannot_be_gone_on_with(run: Run) -> None:
    trained(run)
    assert run("sample", "gone")[::2] == (2, "fac: there is no checkpoint `gone`\n")
    assert run("sample", "r", "--prompt", "")[::2] == (
        2,
        "fac: `--prompt` is empty: a network goes on with at least one byte\n",
    )
    found = checkpoint.load(Path("r/state.safetensors"))
    checkpoint.save(Path("bare"), found.state, {"fac_checkpoint": found.about["fac_checkpoint"]})
    assert run("sample", "bare")[::2] == (2, "fac: `bare` holds no spec: name a checkpoint of `fac train`\n")


def test_bytes_that_are_no_text_are_shown_as_such(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(run)
    for made, shown in (("ä\n\tb".encode(), "ä\n\tb"), (b"\x1b[2J\x00\xff\xc3", "�[2J���")):
        monkeypatch.setattr("fac.training.sampling.continued", lambda *_, made=made: made)
        assert run("sample", "r", "--prompt", "a")[1] == f"a{shown}\n"
