"""What a comparison that is kept was meant to be: said before its first training, and never changed afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed
from pathlib import Path
from re import sub
from typing import Any

from fac import source
from fac.diagnostics import FacError
from fac.experiments import made_with
from fac.experiments.contrasts import Pair
from fac.experiments.needs import Needs
from fac.experiments.plan_form import PlanForm, RowForm
from fac.experiments.rows import Row
from fac.experiments.sealing import UnsoundError, digest, formed, plain
from fac.experiments.variants import Variant
from fac.opening import MANIFEST, content
from fac.program.program import Program
from fac.render.json_text import json_text
from fac.spec.data import places
from fac.training.checkpoint import PLAN, differing
from fac.training.dataset import Dataset, fingerprint
from fac.training.plugged import used

FILE = PLAN
FORMAT = 1
RUNS = "runs"
ASIDE = ("file", "notes", "versions", "arm", "digest")
"""What may differ from one call to the next: where a spec lies, what is said of the plan, with which versions of what
computes it was made, which is said, and what follows from the plan."""


_AS_THEY_ARE = ("budget", "backend", "device", "precision", "threads", "version", "audit", "plugins")


@dataclass(frozen=True, slots=True)
class Plan:
    """A comparison before its first training."""

    rows: tuple[Row, ...]
    """Without runs."""
    specs: tuple[Mapping[str, Any], ...]
    """Of each row what is trained: all that the spec says, defaults too, with the first seed."""
    data: tuple[Mapping[str, str], ...]
    """Of each row digests of the samples to train on and to test on."""
    seeds: tuple[int, ...]
    pairs: tuple[Pair, ...]
    budget: str
    """How settings were tuned, in words."""
    backend: str
    device: str | None
    precision: str | None
    """None is what each spec needs on the backend."""
    threads: int
    version: str
    """Of fac."""
    notes: tuple[str, ...]
    """What a reader of the table must know."""
    audit: bool = True
    """Whether each trained network is looked at."""
    disable: tuple[str, ...] = ()
    """The passes that all are compiled without."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files whose kinds the specs have, by their names."""
    versions: Mapping[str, str] = field(default_factory=made_with.versions)
    """Of what computes."""

    @property
    def folders(self) -> tuple[str, ...]:
        """What the folders of each row's runs begin with: unlike each other, and names on every system."""
        names = (sub(r"[^A-Za-z0-9.-]+", "-", row.variant.label).strip("-.")[:40] for row in self.rows)
        return tuple(f"{number:02}-{name or 'row'}" for number, name in enumerate(names, 1))

    def run(self, row: int, seed: int) -> str:
        """The way from the folder of the comparison to that of a run."""
        return f"{RUNS}/{self.folders[row]}-seed-{seed}"

    def flat(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {
            "comparison": FORMAT,
            **{name: getattr(self, name) for name in _AS_THEY_ARE},
            **without(self.disable),
            "seeds": self.seeds,
            "contrasts": [asdict(pair) for pair in self.pairs],
            "rows": [
                _flat_row(row) | {"data": dict(data), "trains": spec}
                for row, spec, data in zip(self.rows, self.specs, self.data, strict=True)
            ],
            "notes": self.notes,
            "versions": self.versions,
        }
        return found | {"digest": digest(_meant(found))}

    @property
    def digest(self) -> str:
        """SHA-256 of what two calls have to agree in: 64 hexadecimal digits."""
        found: str = self.flat()["digest"]
        return found

    def text(self) -> str:
        """The file."""
        return json_text(self.flat(), indent=1) + "\n"


def read(folder: Path) -> Plan:
    """The plan of a folder.

    Raises:
        FacError: it has none, or one that nobody wrote here.
    """
    path = folder / FILE
    text = content(path, MANIFEST, within=folder)
    try:
        flat = plain(text)
        found = formed(flat, PlanForm)
        if found.comparison != FORMAT or found.digest != digest(_meant(flat)):
            raise UnsoundError("it is of another version, or was changed after it was written, by its digest")
    except UnsoundError as error:
        raise FacError(
            f"`{path}` is not the plan of a comparison as `fac compare --out` wrote it, {error}: bring back a copy of "
            "it, or give another folder"
        ) from error
    return Plan(
        rows=tuple(_row(row) for row in found.rows),
        specs=tuple(row.trains for row in found.rows),
        data=tuple(row.data for row in found.rows),
        seeds=tuple(found.seeds),
        pairs=tuple(Pair(pair.one, pair.other) for pair in found.contrasts),
        notes=tuple(found.notes),
        disable=tuple(found.disable),
        versions=found.versions,
        **{name: getattr(found, name) for name in _AS_THEY_ARE},
    )


def require_same(theirs: Plan, ours: Plan, folder: Path) -> None:
    """Refuse to go on with another comparison.

    Raises:
        FacError: naming the first few differences.
    """
    require_equal(_meant(theirs.flat()), _meant(ours.flat()), folder, "comparison")


def require_equal(theirs: Any, ours: Any, folder: Path, what: str) -> None:
    """Refuse to go on where plain data differ.

    Args:
        theirs: of the folder.
        ours: of this call.
        folder: that holds something.
        what: it holds.

    Raises:
        FacError: naming the first few differences.
    """
    found = [*differing(theirs, ours)]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise FacError(
            f"`{folder}` holds another {what}: {'; '.join(found[:3])}{more}: make the same call as then, or give "
            "another folder to `--out`"
        )


def expanded(program: Program) -> dict[str, Any]:
    """All that a spec says, defaults too, but for where its data lie."""
    found: dict[str, Any] = program.spec.model_dump(mode="json", by_alias=True)
    if program.spec.data is not None:
        found["data"] |= dict.fromkeys(places(type(program.spec.data)))
    return found


def without(disable: Iterable[str] | None) -> dict[str, list[str]]:
    """What a plan says of passes that are left out: nothing where there are none, as plans did before it was asked."""
    return {"disable": sorted({*disable})} if disable else {}


def version() -> str:
    """Of fac: another one may train otherwise."""
    return installed("fac-compiler")


def plugged(programs: Sequence[Program]) -> dict[str, str]:
    """Of the files whose kinds the specs have: SHA-256 of each by its name, of several with one name all of theirs."""
    found = {one: name for program in programs for one, name in used(program.spec).items()}
    return {
        name: " ".join(sorted(one for one, other in found.items() if other == name))
        for name in sorted({*found.values()})
    }


def digests(datasets: Sequence[Dataset]) -> tuple[Mapping[str, str], ...]:
    """What tells data apart, by what they are for. Rows that share a data set have it digested once."""
    found: dict[int, Mapping[str, str]] = {}
    for dataset in datasets:
        if id(dataset) not in found:
            parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
            found[id(dataset)] = {
                name: fingerprint(split, "float64") for name, split in parts.items() if split is not None
            }
    return tuple(found[id(dataset)] for dataset in datasets)


def _flat_row(row: Row) -> dict[str, Any]:
    variant = row.variant
    return {
        "label": variant.label,
        "spec": variant.spec,
        "name": variant.name,
        "rule": variant.rule,
        "rank": variant.rank,
        "file": variant.document.name,
        "network": row.spec,
        "ranks": row.ranks,
        "classifies": row.classifies,
        "by_place": row.by_place,
        "by_byte": row.by_byte,
        "body": row.body,
        "arm": row.arm,
        "needs": asdict(row.needs),
    }


def _row(found: RowForm) -> Row:
    document = source.from_data({}, found.file)
    return Row(
        Variant(document, found.rule, found.spec, found.rank, found.name),
        found.network,
        tuple(found.ranks),
        found.classifies,
        found.by_place,
        Needs(**found.needs.model_dump()),
        found.by_byte,
        found.body,
        found.rate,
        found.arm,
    )


def _meant(found: Mapping[str, Any]) -> Any:
    """What two calls have to agree in, rows by their labels, as JSON has it."""
    rows: Sequence[Mapping[str, Any]] = found["rows"]
    named = {row["label"]: {key: value for key, value in row.items() if key not in ASIDE} for row in rows}
    kept = {key: value for key, value in found.items() if key not in (*ASIDE, "rows")}
    kept["contrasts"] = [str(Pair(**pair)) for pair in found["contrasts"]]
    order = [row["label"] for row in rows]
    return json.loads(json_text({**kept, "order": order, "rows": named}))
