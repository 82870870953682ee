"""What a training in Python gives: the network as it is now, and how it came there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fac.render.html import picture, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.audit import Measured
    from fac.backend import Artifact, Session
    from fac.program.program import Program
    from fac.spec.model import ModelSpec
    from fac.training.dataset import Dataset
    from fac.training.loop import Report


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """A network after a training."""

    program: Program
    artifact: Artifact
    session: Session
    """With the state that came out: `session.state()` gives its arrays, `session.forward(x)` asks the network."""
    report: Report
    dataset: Dataset
    """What it was trained, tested and perhaps validated on, as the network reads it."""
    backend: str
    out: Path | None
    """The folder of the run, if it was kept."""
    audit: Measured | None = None
    """What was looked at in the trained network, if it was asked for."""

    @property
    def spec(self) -> ModelSpec:
        """What was trained."""
        return self.program.spec

    @property
    def test_accuracy(self) -> float | None:
        """In [0, 1]; None if the loss does not classify."""
        return self.report.test_accuracy

    @property
    def test_loss(self) -> float:
        """Mean over the test samples."""
        return self.report.test_loss

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the result is hardly one, though all numbers are finite; empty, as a rule."""
        from fac.audit import said

        concerns = (concern.message for concern in self.report.concerns)
        return (*concerns, *(line for _, line in said(self.audit)))

    @property
    def history(self) -> Mapping[str, NDArray[np.float64]]:
        """[epochs] of each column of `metrics.jsonl`, such as `test_accuracy` and `fc1.error.cosine`.

        NaN where an epoch has none.
        """
        import numpy as np

        lines = [record.flat() for record in self.report.history]
        names = dict.fromkeys(name for line in lines for name in line)
        columns = {name: [line.get(name) for line in lines] for name in names}
        return {
            name: np.array([np.nan if value is None else value for value in column], np.float64)
            for name, column in columns.items()
        }

    @property
    def _result(self) -> dict[str, str]:
        loss = {"test loss": f"{self.test_loss:.4g}"}
        accuracy = self.test_accuracy
        return loss if accuracy is None else {"test accuracy": f"{100 * accuracy:.1f} %"} | loss

    def __repr__(self) -> str:
        """The network, where it is, and what came of it."""
        result = ", ".join(f"{name} {value}" for name, value in self._result.items())
        where = f" in `{self.out}`" if self.out else ""
        return f"<`{self.spec.name}` after {self.session.steps:,} steps on {self.backend}{where}: {result}>"

    def _repr_html_(self) -> str:
        from fac.render import plot

        facts = {
            "network": self.spec.name,
            "backend": f"{self.backend} ({self.session.device}, {self.session.precision})",
            "steps": f"{self.session.steps:,}",
            **self._result,
            "seconds": f"{self.report.seconds:.1f}",
            **({"folder": str(self.out)} if self.out else {}),
            **{f"warning {number}": text for number, text in enumerate(self.warnings, 1)},
        }
        trial = plot.Trial(self.spec.name, (tuple(record.flat() for record in self.report.history),))
        drawn = plot.render(plot.figure([trial], ()), "svg", light=True)
        return table(("training", ""), list(facts.items())) + picture(drawn, "losses and probes over steps")
