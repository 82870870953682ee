"""Sequences of unequal length: the format, padding, masks, and what cannot be read or does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fac import pipeline
from fac.diagnostics import FacError
from fac.program.feeds import feeds
from fac.step.feed import Feed
from fac.training.data import load
from fac.training.data.sequences import Sequences
from fac.training.dataset import Dataset
from fac.training.fitting import fitted, read_anew

TRAIN = """\
# two channels; the second never moves
% another comment

@problemName tiny
@timeStamps false
@Dimensions 2
@equalLength false
@classLabel true up down
@data
1,2,3:5,5,5:up
3,1:5,5:down
-1:5:down
"""
TEST = """\
@classLabel true down up
@data
4,5,6,7:5,5,5,5:up
"""
SPEC = """\
fac: 1
name: tiny
inputs:
  series: {shape: [5, 2]}
  valid: {shape: [5], mask: true}
layers:
  - {kind: linear, name: fc1, out: 6}
  - {kind: tanh}
  - {kind: mean, axes: [0], mask: valid}
  - {kind: linear, name: logits, out: 2}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
data: {source: sequences, train: a.ts, test: b.ts}
train: {batch: 2}
"""
UNMASKED = SPEC.replace("  valid: {shape: [5], mask: true}\n", "").replace(", mask: valid", "")
VALUES = np.array([1, 2, 3, 3, 1, -1.0])


def loaded(folder: Path, train: str = TRAIN, test: str = TEST) -> Dataset:
    (folder / "a.ts").write_text(train)
    (folder / "b.ts").write_text(test)
    return load(Sequences(train="a.ts", test="b.ts"), folder)


def made(folder: Path, spec: str = SPEC, train: str = TRAIN, test: str = TEST) -> Dataset:
    """What the network of a spec is fed with."""
    path = folder / "tiny.fac.yaml"
    path.write_text(spec)
    return fitted(loaded(folder, train, test), feeds(pipeline.lowered(path)), "float64")


def test_padded_masked_and_standardised(tmp_path: Path) -> None:
    """Moments are over the steps to train on, none of them padding; the header of train numbers the classes of both."""
    data = made(tmp_path)
    scaled = (VALUES - VALUES.mean()) / VALUES.std()
    arrays = data.train.arrays
    assert list(arrays) == ["series", "valid", "y"]
    np.testing.assert_allclose(
        arrays["series"][..., 0],
        [[*scaled[:3], 0, 0], [*scaled[3:5], 0, 0, 0], [scaled[5], 0, 0, 0, 0]],
        atol=1e-15,
    )
    np.testing.assert_array_equal(arrays["series"][..., 1], 0)
    np.testing.assert_array_equal(arrays["valid"], [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(arrays["y"], [0, 1, 1])
    arrays = data.test.arrays
    np.testing.assert_allclose(
        arrays["series"][0, :4, 0], (np.array([4, 5, 6, 7]) - VALUES.mean()) / VALUES.std(), rtol=1e-14
    )
    np.testing.assert_array_equal(arrays["valid"], [[1, 1, 1, 1, 0]])
    np.testing.assert_array_equal(arrays["y"], [0])


def test_more_padding_adds_zeros_alone(tmp_path: Path) -> None:
    """Whatever a network reads, and whichever read the same data before."""
    data = loaded(tmp_path)
    specs = [SPEC.replace("[5", f"[{length}") for length in (4, 9, 4)]
    paths = [tmp_path / f"{index}.fac.yaml" for index in range(3)]
    for path, text in zip(paths, specs, strict=True):
        path.write_text(text)
    narrow, wide, again = (fitted(data, feeds(pipeline.lowered(path)), "float64") for path in paths)
    for name in ("series", "valid"):
        np.testing.assert_array_equal(wide.train.arrays[name][:, :4], narrow.train.arrays[name])
        np.testing.assert_array_equal(again.train.arrays[name], narrow.train.arrays[name])
        assert not wide.train.arrays[name][:, 4:].any()
    assert read_anew(data, feeds(pipeline.lowered(paths[0]))) == ""


def test_what_is_padding_moves_no_result(tmp_path: Path) -> None:
    """A masked network makes the same of 5 steps and of 9: outputs, loss, and the step on its weights."""
    found = []
    for length in (5, 9):
        spec = SPEC.replace("[5", f"[{length}")
        data = made(tmp_path, spec).train.arrays
        session = pipeline.compile(tmp_path / "tiny.fac.yaml", precision="float64").open()
        batch = dict(data)
        loss = session.step(batch)["loss"]
        found.append([np.asarray(float(loss)), *session.state().values()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)


def test_equal_lengths_need_no_mask(tmp_path: Path) -> None:
    """And one channel needs no axis."""
    train = "@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n"
    spec = UNMASKED.replace("[5, 2]", "[3]").replace("  - {kind: mean, axes: [0]}\n", "")
    assert made(tmp_path, spec, train, train).train.arrays["series"].shape == (2, 3)


def changed(line: int, text: str) -> str:
    """The training file with another line."""
    lines = TRAIN.splitlines()
    lines[line - 1] = text
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            changed(10, "1,2,3:up"),
            r"line 10: the sample has 1 channel, and its `@dimensions` say 2: give all",
        ),
        (
            changed(6, "@x").replace("5,5:down", "5,5:1,1:down"),
            r"line 11: the sample has 3 channels, and line 10 has 2",
        ),
        (changed(11, "3,1:5:down"), r"line 11: channel 2 has 1 step, and channel 1 2: give all channels"),
        (
            changed(11, "3,1:5,?:down"),
            r"line 11, channel 2: value 2, `\?`, is missing or not finite: fill it in",
        ),
        (changed(11, "3,NaN:5,5:down"), r"line 11, channel 1: value 2, `NaN`, is missing"),
        (changed(11, "3,x:5,5:down"), r"line 11, channel 1: value 2, `x`, is no number"),
        (changed(11, "3,:5,5:down"), r"line 11, channel 1: value 2, ``, is no number"),
        (changed(11, "3,1"), r"line 11: `3,1` has no `:`"),
        (
            changed(11, "3,1:5,5"),
            r"line 11: class `5,5`, behind the last `:`, is none of `@classLabel`: `up`, `down`",
        ),
        (changed(11, "3,1:5,5:left"), r"line 11: class `left`, behind the last"),
        (changed(8, "@classLabel false"), r"line 8: the header names no classes: write `@classLabel true`"),
        (changed(8, "@other"), r"line 9: the header names no classes"),
        (changed(8, "@classLabel true a a"), r"line 8: class `a` is named twice"),
        (
            changed(8, "@targetLabel true"),
            r"line 8: samples with a target in place of a class: use `source: arrays`",
        ),
        (changed(5, "@timeStamps True"), r"line 5: samples with time stamps"),
        (changed(6, "@dimensions many"), r"line 6: `@dimensions many` is no number of channels"),
        (changed(6, "@dimensions " + "9" * 5000), r"line 6: `@dimensions 9{20,40}\.\.\.` is no number"),
        (changed(9, ""), r"line 10: `1,2,3:5,5,5:up` stands before `@data`"),
        ("PASSWORD=hunter2\n", r"line 1: something else stands before `@data`"),
        ("@classLabel true a b\n", r"has no line `@data`"),
        ("@classLabel true a b\n@data\n", r"line 2: no sample stands behind `@data`"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path: Path, train: str, message: str) -> None:
    with pytest.raises(FacError, match=r"`a\.ts` \(`data\.train`\),? " + message):
        loaded(tmp_path, train)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            "@classLabel true up left\n@data\n1:5:up\n\n2:5:left\n",
            r"line 5: class `left` is not among those of `a\.ts`",
        ),
        (
            "@classLabel true up\n@data\n1:up\n",
            r"has 1 channel, and `a\.ts` \(`data\.train`\) 2: give two files",
        ),
    ],
)
def test_a_test_split_of_another_task(tmp_path: Path, test: str, message: str) -> None:
    with pytest.raises(FacError, match=r"`b\.ts` \(`data\.test`\),? " + message):
        loaded(tmp_path, test=test)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"@data\n\xff\xfe")
    with pytest.raises(FacError, match=r"`a\.ts` \(`data\.train`\) is no `\.ts` file: byte 6"):
        load(Sequences(train="a.ts", test="b.ts"), tmp_path)
    for name, said in (
        ("gone.ts", "is not a file: paths in a spec start from"),
        (".", "is a folder: name a file"),
    ):
        with pytest.raises(FacError, match=rf"\(`data\.train`\) {said}"):
            load(Sequences(train=name, test="b.ts"), tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            SPEC.replace("[5", "[3"),
            r"`b\.ts` \(`data\.test`\), line 3: the sequence has 4 steps, and `inputs\.series\.shape` has room for 3: "
            r"write `\[4, 2\]`",
        ),
        (
            SPEC.replace("[5, 2]", "[5, 3]"),
            r"`a\.ts` \(`data\.train`\) has 2 channels, and `inputs\.series\.shape` is \[5, 3\]: write \[steps, "
            r"channels\], here `shape: \[4, 2\]`",
        ),
        (
            UNMASKED,
            r"`a\.ts` \(`data\.train`\), line 10: the sequence has 3 steps of 5, and no input of the network is a mask",
        ),
        (
            UNMASKED.replace("inputs:\n  series: {shape: [5, 2]}", "input: {shape: [2, 5]}"),
            r"`input\.shape` is \[2, 5\]: .*, and a `permute` layer behind it",
        ),
    ],
)
def test_networks_that_read_something_else(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(FacError, match=message):
        made(tmp_path, spec)


SERIES, VALID = (
    Feed("series", (5, 2), origin="inputs.series"),
    Feed("valid", (5,), mask=True, origin="inputs.valid"),
)


@pytest.mark.parametrize(
    ("fed", "message"),
    [
        (
            (replace(SERIES, classes=3), VALID),
            "`inputs.series.classes` asks for whole ones: leave `classes` out",
        ),
        ((SERIES, replace(VALID, shape=(5, 1))), "`inputs.valid.shape` is [5, 1]: write `shape: [5]`"),
        (
            (SERIES, replace(SERIES, name="other"), VALID),
            "the network has 2: `series`, `other`; use `arrays`",
        ),
        ((VALID,), "the network has 0: masks alone; use"),
    ],
)
def test_feeds_that_sequences_do_not_fill(tmp_path: Path, fed: tuple[Feed, ...], message: str) -> None:
    with pytest.raises(FacError) as caught:
        fitted(loaded(tmp_path), (*fed, Feed("y", (), "cross_entropy", classes=2)), "float64")
    assert message in str(caught.value)


def test_checked_before_it_is_read(tmp_path: Path) -> None:
    """No mask is asked for, because one is made; a second input is."""
    path = tmp_path / "tiny.fac.yaml"
    path.write_text(SPEC)
    assert pipeline.check(path) == ()
    path.write_text(SPEC.replace("  valid", "  other: {shape: [5]}\n  valid"))
    found = [d.message for d in pipeline.check(path) if d.rule.code == "FAC219"]
    assert found == [
        "`sequences` has the arrays `x` and `y`, and the network is fed with `series`, `other` and `y`"
    ]
