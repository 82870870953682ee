"""A trained network, and samples for it: those of its run, or those of a file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fac.experiments.job import ANYWHERE, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fac.backend import Array, Precision, Session
    from fac.program.program import Program
    from fac.training.checkpoint import Checkpoint
    from fac.training.data.asked import Asking
    from fac.training.dataset import Dataset, Split
    from fac.training.metadata import Kept


LOG = logging.getLogger(__name__)
ARRAYS = "the samples"
"""What messages call arrays that were handed over."""


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """The network of a run, ready to be asked."""

    checkpoint: Checkpoint
    program: Program
    backend: str
    session: Session
    remarks: tuple[str, ...]
    """Which plug-ins of it are not what they were, and what its training said of its results."""

    @property
    def kept(self) -> Kept:
        """How the samples of the training were read."""
        from fac.training.metadata import kept

        return kept(self.checkpoint.about)


def network(run: Path, where: Where = ANYWHERE) -> Network:
    """The network of a run.

    Args:
        run: its folder or its state.
        where: it runs; in the precision of the training if none is named.

    Raises:
        FacError: there is no such run, a plug-in is missing whose kinds it has, or there is no such backend or device.
    """
    from fac.build.disabling import without
    from fac.experiments.backends import chosen
    from fac.experiments.ended import told
    from fac.experiments.passed import choices, left_out
    from fac.pipeline import emit, lowered
    from fac.training import checkpoint
    from fac.training.plugged import changes
    from fac.tuning import held

    found = checkpoint.offered(run)
    remarks = (*changes(found), *told(found.place.parent))
    document = found.document()
    program, engine = lowered(document), chosen(where.backend)
    disabled = left_out(found.about, engine) if where.disable is None else where.disable
    program = without(program, disabled, engine)
    kept = where.precision or found.precision or engine.default_precision
    artifact, _ = held(
        emit(program, engine, kept, document), choices(found.about, engine.name) or {}, where.device
    )
    session = artifact.open(found.state, where.device)
    return Network(found, program, engine.name, session, remarks)


def of_run(program: Program, found: Checkpoint, base: Path | None, precision: Precision) -> Dataset:
    """The data of a run, fitted to its network.

    Args:
        program: what the checkpoint's spec declares.
        found: the checkpoint.
        base: where relative paths in `data:` start, if not where the training found them.
        precision: of the floats.

    Raises:
        FacError: the spec names none, they cannot be read, or do not fit.
    """
    return as_read(loaded(program, found, base, precision), program, found, precision)


def loaded(program: Program, found: Checkpoint, base: Path | None, precision: Precision) -> Dataset:
    """The data of a run as their source has them; see `of_run`.

    Raises:
        FacError: the spec names none, or they cannot be read.
    """
    from fac.training import data
    from fac.training.places import start

    section = data.declared(program.spec.data, str(found.place))
    return data.load(section, base or start(found), precision)


def as_read(dataset: Dataset, program: Program, found: Checkpoint, precision: Precision) -> Dataset:
    """The same, fitted to the network of a run.

    Raises:
        FacError: they do not fit.
    """
    from fac.program.feeds import feeds
    from fac.training.agreement import fitted_anew
    from fac.training.metadata import kept

    made, told = fitted_anew(dataset, feeds(program), precision, kept(found.about), training=False)
    for line in told:
        LOG.warning("%s", line)
    return made


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """Samples that fit what a network reads."""

    split: Split
    told: str
    """What is to be said of how they were read, a line each; empty if nothing is."""
    marks: Mapping[str, Array] = field(default_factory=dict)
    """[N] each, how their file tells them apart, see `fac.training.data.asked`."""


def of_file(
    path: Path,
    program: Program,
    precision: Precision,
    kept: Kept,
    *,
    targets: bool = True,
) -> Fitted:
    """The samples of a file or a folder, fitted to a network.

    They are read as the source of the training reads files, see `fac.training.data.asked`, and standardised as those of
    the training were; labels are the names of its classes, see `fac.training.naming`. What `fac data` has written is
    what a network reads, and stays as it is.

    Args:
        path: where they are.
        program: what the network is.
        precision: of the floats.
        kept: how the samples of the training were read.
        targets: whether the targets of its losses are needed. If not, those that are there are left alone.

    Raises:
        FacError: it cannot be read, or its arrays do not fit.
    """
    import numpy as np

    from fac.training.data import asked

    asking = _asking(program, precision, kept, targets)
    found = asked.read(path, asking)
    split, told = _suited(found.split, asking, found.kept, f"`{path}`", compared=not found.bytes_alike)
    return Fitted(
        split,
        "\n".join(filter(None, (found.told, told))),
        {name: np.array(marks) for name, marks in found.marks.items()},
    )


def trained_on(path: Path, split: Split, network: Network) -> str:
    """What to say of samples of a file that the network was trained on; empty of others.

    They are the training samples, by their digest, or the file is that of `data.train`, of which the training may have
    held a part out.
    """
    from fac.training.dataset import fingerprint
    from fac.training.metadata import DATA
    from fac.training.places import start

    found, data = network.checkpoint, network.program.spec.data
    known = {precision: found.about[key] for key, precision in DATA.items() if key in found.about}
    same = any(fingerprint(split, precision) == digest for precision, digest in known.items())
    named = getattr(data, "train", None)
    if not same and not (isinstance(named, str) and _one_file(path, start(found) / named)):
        return ""
    return f"`{path}` holds the training samples: what is known by heart says nothing of others"


def _one_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def of_arrays(
    given: Split,
    program: Program,
    precision: Precision,
    kept: Kept,
    *,
    targets: bool = True,
) -> Fitted:
    """As `of_file`, of arrays that are there already."""
    from fac.training.dataset import Split

    asking = _asking(program, precision, kept, targets)
    names = asking.wanted(list(given.arrays), ARRAYS)
    wanted = Split(**{name: given.arrays[name] for name in names})
    return Fitted(*_suited(wanted, asking, kept, ARRAYS))


def _asking(program: Program, precision: Precision, kept: Kept, targets: bool) -> Asking:
    from fac.program.feeds import feeds
    from fac.training.data.asked import Asking

    return Asking(program.spec.data, kept, feeds(program), targets, precision)


def _suited(
    given: Split, asking: Asking, kept: Kept, place: str, *, compared: bool = True
) -> tuple[Split, str]:
    """The samples as the network reads them, and what is to be said of that.

    `kept` is what is still to be done to them; numbers are `compared` with those of the training.
    """
    from fac.training.dataset import Dataset
    from fac.training.fitting import fitted_split, read_anew, read_shapes, renamed, require_shapes
    from fac.training.naming import numbered
    from fac.training.stored import scaled
    from fac.training.unlike import unlike

    needed, precision = asking.needed, asking.precision
    require_shapes(given, needed, place, trained=True)
    given, by_name = numbered(given, needed, kept.classes, place)
    anew = read_anew(Dataset(place.strip("`"), given, given), needed)
    by = renamed(kept.scalings, given, needed)
    known = " and ".join(f"`{name}`" for name in by)
    scales = f"{known} of {place}: standardised as the training samples were" if known else ""
    given = scaled(given, by, place, precision, read_shapes(given, needed))
    split = fitted_split(given, needed, place, precision)
    odd = [
        unlike(given.arrays[name], scaling, f"`{name}` of {place}")
        for name, scaling in by.items()
        if compared
    ]
    return split, "\n".join(filter(None, ("; ".join(filter(None, (scales, by_name, anew))), *odd)))


def random_inputs(program: Program, n: int, precision: Precision) -> Split:
    """[n, …] of what the network reads, see `drawn`."""
    from fac.program.feeds import inputs
    from fac.training.dataset import Split
    from fac.tuning.batches import drawn

    return Split(**drawn([*inputs(program).values()], n, precision))
