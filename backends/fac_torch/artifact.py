"""What the torch backend makes: source, and sessions that run it."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fac.backend import COMPILED, STEP_KNOB, Artifact, Compiled, Knob, write_common
from fac_torch import kernels
from fac_torch.compiling import CompiledSession
from fac_torch.emit import Emitter, graph_source, probe_source, source, step_source
from fac_torch.maps import CHANNELS_LAST
from fac_torch.operators import kernels_of_graphs
from fac_torch.session import TorchSession
from fac_torch.tuning import MAPS, ROWS, knobs


class TorchArtifact(Artifact):
    """`step.py` for one spec."""

    runs_with = ("numpy", "torch")

    @cached_property
    def source(self) -> str:
        """The emitted module."""
        return source(self.compiled, self.precision)

    def listing(self) -> str:
        """The function `step` of `step.py`."""
        return Emitter(self.compiled.step, True, self.compiled.disabled).source()

    def write(self, directory: str | Path) -> None:
        """`step.py` (and the module of other steps), kernels, initial state, manifest. Needs torch alone to run."""
        here = Path(__file__)
        beside = {
            name: here.with_name(name).read_text(encoding="utf-8").replace("from fac_torch.", "from ")
            for name in kernels.FILES
        }
        digest = kernels.digest(text.encode() for text in beside.values())
        imported = (
            f"import kernels\n\nkernels.require({digest!r})  # those beside this file, as they were written"
        )
        files = {"step.py": source(self.compiled, self.precision, imported)}
        if (anchors := self.compiled.anchors) is not None:
            assert self.compiled.anchor is not None
            files[f"{self.compiled.anchor.step.name}.py"] = source(anchors, self.precision, imported)
        write_common(self, "torch", Path(directory), {**files, **beside})

    def module(self) -> ModuleType:
        """The source, executed; but for what is emitted when somebody calls it: the probe, and a step for graphs."""
        module, c = ModuleType("fac_step"), self.compiled
        self._run(source(c, self.precision, probe=False), "", module.__dict__)

        def later(name: str, part: str, text: Callable[[Compiled], str]) -> Callable[..., Any]:
            @cache
            def emitted() -> Callable[..., Any]:
                return self._part(name, part, text(c), dict(module.__dict__))

            return lambda *given: emitted()(*given)

        module.__dict__["probe"] = later("probe", " probe", probe_source)
        module.__dict__["step_of_tensors"] = later("step", " step of tensors", step_source)
        return module

    def _graph(self, module: ModuleType) -> Callable[..., Any]:
        """The step as `torch.compile` takes it, for the names that the module has."""
        names = module.__dict__ | {"kernels": kernels_of_graphs()}
        step = self._part("step", " step of a graph", graph_source(self.compiled), names)
        return step.__wrapped__  # type: ignore[attr-defined, no-any-return]  # not in `inference_mode`

    def _part(self, name: str, part: str, text: str, names: dict[str, Any]) -> Callable[..., Any]:
        self._run(text, part, names)
        return names[name]  # type: ignore[no-any-return]

    def _run(self, text: str, part: str, names: dict[str, Any]) -> None:
        """Registered with `linecache`, so that tracebacks and debuggers show it."""
        name = f"<fac {self.compiled.name} {self.compiled.spec_hash}{part}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), names)

    def peak_bytes(self, n: int) -> int:
        """See `footprint`."""
        from fac_torch.footprint import peak_bytes

        return peak_bytes(self.compiled, n, np.dtype(self.precision).itemsize)

    def new_session(self, device: str | None) -> TorchSession:
        """A session on CUDA if it is there, else on the CPU, unless told."""
        if self.choices.get(STEP_KNOB) != COMPILED:
            return TorchSession(self.compiled, self.precision, device, self.module(), self.choices)
        module = self.module()
        return CompiledSession(
            self.compiled, self.precision, device, module, self.choices, step=self._graph(module)
        )

    def knobs(self, device: str | None = None) -> tuple[Knob, ...]:
        """Those of `fac_torch.tuning`."""
        return knobs(self.compiled, self.precision, device)

    def like(self, compiled: Compiled, choices: Mapping[str, str]) -> Artifact:
        """Maps that lie row by row are those of a step without the pass that turns them."""
        if choices.get(MAPS) == ROWS:
            compiled = replace(compiled, disabled=compiled.disabled | {CHANNELS_LAST.name})
        return super().like(compiled, choices)
