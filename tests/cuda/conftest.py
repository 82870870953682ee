"""Sessions on `cuda` under watch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

import fac_torch
from fac.testing.case import Case, Subject
from fac_torch import captured
from fac_torch.artifact import TorchArtifact
from fac_torch.session import TorchSession
from tests.cuda.watch import Watch, watching

FUNCTIONS = ("workspace", "step", "forward", "evaluate", "probe", "step_of_tensors")
SUBJECT = Subject(fac_torch.BACKEND, "float32", "cuda")


def pytest_sessionstart() -> None:
    """Say what is missing, before anything fails for it."""
    if torch.version.cuda is None:
        pytest.exit("this build of torch knows no CUDA: run `make test-cuda`", 1)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Watch], Any]], Watch]:
    """Calls something under watch, in which emitted functions, `take` and what graphs record are guarded."""

    def call(what: Callable[[Watch], Any]) -> Watch:
        with watching() as watch:
            module, take = TorchArtifact.module, TorchSession.take

            def guarded(artifact: TorchArtifact) -> ModuleType:
                made = module(artifact)
                for name in FUNCTIONS:
                    called = "step" if name == "step_of_tensors" else name
                    setattr(made, name, watch.guard(called, getattr(made, name)))
                return made

            with monkeypatch.context() as patch:
                patch.setattr(TorchArtifact, "module", guarded)
                patch.setattr(TorchSession, "take", watch.guard("take", take))
                patch.setattr(captured, "recorded", lambda work: watch.guard("recorded", work))
                what(watch)
        return watch

    return call


@pytest.fixture
def on_cuda(watched: Callable[..., Watch]) -> Callable[[Case], Watch]:
    """Does under watch what a case of the conformance suite does with a backend; what comes of it are no numbers."""

    def run(case: Case) -> Watch:
        assert case.script is not None
        script = case.script
        return watched(lambda _: script(SUBJECT))

    return run
