"""Other packages that train without backpropagation, by what their documents say. Each is held against fac's oracle."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from fac.bench.case import CLASSES, Case
from fac.bench.contenders.base import State, UnfitError
from fac.bench.contenders.eager import Eager

FEEDBACK = ".feedback.B"


class Tap(torch.autograd.Function):
    """What it is given; on the way back the projected error stands for whatever arrives."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, peer: TinyDfa) -> Tensor:
        """A view."""
        ctx.peer = peer
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor, None]:
        """As many columns as the layer has units."""
        return ctx.peer.projected[:, : errors[0].shape[1]], None


class TinyDfa(Eager):
    """DFA with autograd, as the documents of TinyDFA describe it (https://github.com/lightonai/dfa-tinydfa).

    A tap behind each hidden layer; the error of the loss is projected once, by one random matrix [classes, widest
    layer], and each tap hands back the columns that fit. Layers below a tap still make the error of their input, which
    the next tap discards.
    """

    def __init__(self, case: Case, state: State | None, precision: str, *, mode: str) -> None:
        """The matrix is the feedback of the first layer."""
        super().__init__(case, state, precision, mode=mode, fused=True)
        hidden = [part.out_features for part in self.net.modules() if isinstance(part, nn.Linear)][:-1]
        drawn = torch.randn(CLASSES, max(hidden))
        matrix = drawn if state is None else torch.from_numpy(_feedback(state)[0].T.copy())
        self.matrix = matrix.to(getattr(torch, precision))
        self.projected = self.matrix

    def begin(self, state: State) -> State:
        """The same rows for all layers."""
        widest = _feedback(state)[0]
        return {k: widest[: len(v)] if k.endswith(FEEDBACK) else v for k, v in state.items()}

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """One pass there, one back."""
        parts = list(self.net)  # type: ignore[call-overload]
        for part in parts[:-1]:
            x = part(x)
            if isinstance(part, nn.ReLU):
                x = Tap.apply(x, self)  # type: ignore[no-untyped-call]
        made = parts[-1](x)
        loss = nn.functional.cross_entropy(made, y)
        made.register_hook(self._project)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _project(self, error: Tensor) -> None:
        self.projected = error @ self.matrix


class BioTorch(Eager):
    """`biotorch.module.biomodule.BioModule`, https://github.com/jsalbert/biotorch."""

    def __init__(self, case: Case, state: State | None, precision: str, *, rule: str, mode: str) -> None:
        """Its own feedback is overwritten by that of `state`.

        Raises:
            UnfitError: it is not installed, or raises.
        """
        super().__init__(case, state, precision, mode=mode, fused=True)
        try:
            from biotorch.module.biomodule import BioModule
        except ImportError as error:
            raise UnfitError(
                f"BioTorch is not installed ({error}): `pip install --no-deps biotorch`"
            ) from error
        names = list(self.held)
        with contextlib.redirect_stdout(io.StringIO()):
            made = BioModule(self.net, mode=rule, output_dim=CLASSES).to(getattr(torch, precision))
        self.rule, self.call = rule, made
        layers = [module for module in made.modules() if isinstance(module, nn.Linear)]
        self.held = dict(zip(names, (p for layer in layers for p in (layer.weight, layer.bias)), strict=True))
        learned = list(self.held.values())
        group = self.optimiser.param_groups[0]
        self.optimiser = torch.optim.SGD(learned, lr=group["lr"], momentum=group["momentum"], fused=True)
        if state is None:
            return
        with torch.no_grad():
            for layer, matrix in zip(layers[1:], _feedback(state), strict=True):
                found = torch.from_numpy(matrix if rule == "fa" else matrix.T.copy())
                layer.weight_backward.copy_(found)  # type: ignore[operator]
        self.load(state)

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Direct feedback asks for the targets and the loss on the way there."""
        criterion = nn.functional.cross_entropy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its hooks are of a kind that torch deprecates
            made = self.call(x, y, criterion) if self.rule == "dfa" else self.call(x)
            loss: Tensor = criterion(made, y)
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _feedback(state: State) -> list[Any]:
    """The matrices, in the order of the layers."""
    return [value for name, value in state.items() if name.endswith(FEEDBACK)]
