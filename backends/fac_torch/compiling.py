"""Steps by `torch.compile`: loops that do at once what several kernels do one after the other.

Products, attention and updates stay calls of the same kernels. So it pays where a step is heavy in work number by
number, as with dropout, and not where products take most of the time. Only batches of the size that the spec names go
this way: each size takes half a minute to compile, and the last batch of an epoch is one step.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch

from fac.backend import Arrays, Compiled, Precision, samples
from fac.diagnostics import FacError
from fac_torch.session import TorchSession, told


def compiles() -> bool:
    """Whether the C++ compiler is there that torch would call. To ask torch itself would take a second of imports."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", usual)) is not None


def graph(step: Callable[..., Any]) -> Callable[..., Any]:
    """What is compiled when it is first called.

    In the order in which the step was written: torch would move what reads a weight behind the update of the weight,
    and then has to copy it.
    """
    made: Callable[..., Any] = torch.compile(
        step, fullgraph=True, dynamic=False, options={"reorder_for_locality": False}
    )
    return made


class CompiledSession(TorchSession):
    """Its steps on batches of the spec's size are compiled when the first one is made. All else is as it was."""

    def __init__(
        self,
        compiled: Compiled,
        precision: Precision,
        device: str | None,
        module: ModuleType,
        choices: Mapping[str, str],
        step: Callable[..., Any],
    ) -> None:
        """`step`: takes learning rate and number of the step as tensors, and allocates what it makes."""
        super().__init__(compiled, precision, device, module, choices)
        self.size = compiled.recipe.batch
        self.made = graph(step)
        self.tile: Any = None
        self.warm = False

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, torch.Tensor]:
        """One call of what was compiled.

        Raises:
            FacError: torch, or the C++ compiler, does not take the step. Nothing has moved.
        """
        if samples(batch) != self.size:
            return super().run_step(batch, lr, step)
        with self._arithmetic(), told(self.device), torch.no_grad():
            if self.tile is None:
                # of its own: in the other one lie tensors of `inference_mode`, in which no graph may write
                self.tile = self.module.workspace(self.tensors, self.size)
            numbers = torch.tensor(lr, dtype=torch.float64), torch.tensor(step)
            found = self._called(self.tensors, self.tile, *batch.values(), *numbers)
        return found if isinstance(found, dict) else {"loss": found}

    def _called(self, *given: Any) -> Any:
        if self.warm:
            return self.made(*given)
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import CppCompileError

        try:
            found = self.made(*given)
        except (TorchDynamoException, CppCompileError) as error:
            first = str(getattr(error, "inner_exception", error)).strip().partition("\n")[0]
            raise FacError(
                f"`torch.compile` does not take the step of `{self.compiled.name}` ({first}): train without `--compile`"
            ) from error
        self.warm = True
        return found
