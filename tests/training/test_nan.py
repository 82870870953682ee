from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Arrays, Session
from fac.spec.model import ModelSpec
from fac.training import checkpoint, loop
from fac.training.dataset import Dataset
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.loop import train
from fac.training.nonfinite import DivergedError

Opener = Callable[..., Session]


def poisoned(session: Session, at: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step number `at` (from 0) leaves a NaN in a state array, as a defective update would."""
    run = session.run_step

    def poison(batch: Arrays, lr: float, step: int) -> Any:
        loss = run(batch, lr, step)
        if step == at:
            array = session.read((name,))[name]
            array.flat[0] = np.nan
            session.write({name: array})
        return loss

    monkeypatch.setattr(session, "run_step", poison)


def test_diverging_names_step_epoch_and_layer(
    make_spec: Callable[..., ModelSpec], dataset: Dataset, open_session: Opener
) -> None:
    spec = make_spec(update={"lr": 1e308, "schedule": "constant"}, feedback={"rule": "bp"})
    with pytest.raises(DivergedError) as caught:
        train(open_session(spec), dataset, spec)
    message = str(caught.value)
    assert message.startswith("the loss is inf at step 2 (epoch 1, batch 2 of 5)")
    assert "the first number that is not finite arises in layer `" in message
    assert message.endswith("; lower `update.lr`, or set `update.clip`")


@pytest.mark.parametrize("name", ["fc2.weight", "logits.feedback.Q", "fc1.weight.momentum"])
@pytest.mark.parametrize("at", [6, 9])
def test_the_layer_is_found_where_the_loss_came_late(
    spec: ModelSpec,
    dataset: Dataset,
    open_session: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    at: int,
) -> None:
    """The step that poisons a parameter has a finite loss; if it ends an epoch, no loss shows it at all."""
    session, out = open_session(spec), RunFolder(Held(tmp_path), {})
    poisoned(session, at, name, monkeypatch)
    with pytest.raises(DivergedError) as caught:
        train(session, dataset, spec, out)
    layer = name.partition(".")[0]
    assert f"arises in layer `{layer}`" in str(caught.value)
    assert f"`{tmp_path}/state.safetensors` holds the last good state, from step 5" in str(caught.value)
    if at == 6:
        late = str(caught.value).startswith("the loss is nan at step ")
        assert f"of step {at + 1}" in str(caught.value) if late else f"step {at + 1} " in str(caught.value)
    else:
        assert str(caught.value).startswith(
            "a parameter is no longer finite after step 10 (epoch 2, batch 5 of 5)"
        )


def test_the_last_good_checkpoint_stays(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = open_session(spec)
    with pytest.raises(loop.StoppedError):
        train(
            good, dataset, spec, RunFolder(Held(tmp_path), {}), stop=iter([False] * 4 + [True] * 9).__next__
        )
    session = open_session(spec)
    poisoned(session, 7, "fc1.weight", monkeypatch)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DivergedError):
        train(session, dataset, spec, RunFolder(Held(out), {}))
    found = checkpoint.load(out / "state.safetensors")
    assert found.step == session.steps == 5
    assert all(np.isfinite(array).all() for array in found.state.values())
    assert all(np.array_equal(found.state[k], v) for k, v in session.state().items())
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_stop_never_saves_nan(
    spec: ModelSpec, dataset: Dataset, open_session: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(spec)
    poisoned(session, 0, "fc1.weight", monkeypatch)
    with pytest.raises(DivergedError, match=r"holds the last good state, from step 0"):
        train(session, dataset, spec, RunFolder(Held(tmp_path), {}), stop=lambda: True)
    assert checkpoint.load(tmp_path / "state.safetensors").step == 0


def test_a_state_that_is_bad_from_the_start(spec: ModelSpec, dataset: Dataset, open_session: Opener) -> None:
    session = open_session(spec)
    state = session.state()
    state["fc2.bias"][0] = np.inf
    session.load_state(state)
    with pytest.raises(DivergedError, match=r"`fc2.bias` of layer `fc2` is not finite before the first step"):
        train(session, dataset, spec)


def test_a_host_task_that_meets_nan(
    make_spec: Callable[..., ModelSpec],
    dataset: Dataset,
    open_session: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`normative` takes an SVD between steps, which raises where a step would only spread the NaN."""
    spec = make_spec(feedback={"rule": "ldfa", "rank": 3, "learn": "normative", "refresh": 1})
    session = open_session(spec)
    poisoned(session, 2, "logits.weight", monkeypatch)
    with pytest.raises(DivergedError, match=r"step 3 .*arises in layer `logits`"):
        train(session, dataset, spec)
