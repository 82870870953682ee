"""What every rule comes to on real data, in fixed settings: dense, convolutional and of patches on images, and on text.

Test accuracy on Fashion-MNIST, or bits per byte of text, after the last epoch, mean and standard deviation over seeds;
`accuracy_rows` and `accuracy_tokens` say the networks, the rules, and the bands that some of them must fall into.
Cosine to zero per step; pixels standardised by one mean and deviation; float32.

    python -m benchmarks.accuracy            # continues where results/accuracy.json ends
    python -m benchmarks.accuracy maps       # the convolutional network: results/accuracy_maps.json; also patches, text
    python -m benchmarks.accuracy --table    # prints what is there, trains nothing
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import fac
from benchmarks.accuracy_rows import DENSE, MAPS, SEEDS, Plain, Row, Study
from benchmarks.accuracy_tokens import PATCHES, TEXT
from benchmarks.machine import machine, one_thread, table
from fac.build.costs import backward_ratio
from fac.pipeline import lowered
from fac.training import data
from fac.training.dataset import Dataset
from fac.training.loop import train

STUDIES = {"dense": DENSE, "maps": MAPS, "patches": PATCHES, "text": TEXT}


@cache
def samples(study: str) -> Dataset:
    """The data of a study, once per process."""
    return data.load(fac.load(STUDIES[study].spec(STUDIES[study].rows[0], 0)).data, precision="float32")  # type: ignore[arg-type]


def run(study: str, spec: Plain) -> Plain:
    """One training: what the study measures after each epoch, and its time."""
    model, measure = fac.load(spec), STUDIES[study].measure
    session = fac.compile(model, backend="torch", precision="float32").open(device="cpu")
    report = train(session, samples(study), model)
    figures = [round(measure.of(epoch), 4) for epoch in report.history]
    return {measure.name: figures, "seconds": round(report.seconds, 1), "step_ms": round(report.step_ms, 2)}


def key(spec: Plain) -> str:
    """What a run is found by: an edited row runs again. Not fac's own hash, which moves with every new default."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


def missing(study: Study, runs: Mapping[str, Plain]) -> Iterator[tuple[Row, int]]:
    """What has not run yet, seed by seed: a whole table early, its spread later."""
    for seed in SEEDS:
        for row in study.rows:
            if key(study.spec(row, seed)) not in runs:
                yield row, seed


def results_of(study: Study) -> Path:
    """Where its results stand."""
    return Path(__file__).parent / "results" / f"{study.results}.json"


def stored(study: Study) -> Plain:
    """The results file."""
    if results_of(study).exists():
        found: Plain = json.loads(results_of(study).read_text())
        return found
    return {"machine": {}, "runs": {}}


def keep(study: Study, results: Plain) -> None:
    """Write the file whole or not at all: an interruption costs one run."""
    path = results_of(study)
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(unfinished, path)


def last(study: Study, row: Row, runs: Mapping[str, Plain]) -> list[float]:
    """What was measured after the last epoch, of the seeds that have run."""
    keys = (key(study.spec(row, seed)) for seed in SEEDS)
    return [runs[k][study.measure.name][-1] for k in keys if k in runs]


def spread(values: list[float]) -> str:
    """`88.70 +- 0.17`, or the one value there is."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def report(study: Study, runs: Mapping[str, Plain]) -> str:
    """The table and the claims that follow from it."""
    lines, means = [], dict[tuple[str, object, str], float]()
    for row in study.rows:
        values, rank = last(study, row, runs), row.rank
        if not values:
            continue
        means[row.name, rank, row.optimiser] = mean(values)
        band = "–" if row.accept is None else f"{row.accept[0]:.1f} to {row.accept[1]:.1f}"
        inside = "–" if row.accept is None else yes(row.accept[0] <= mean(values) <= row.accept[1])
        macs = f"{backward_ratio(lowered(study.spec(row, 0))):.2f}"
        lines.append((row.name, row.optimiser, rank, macs, spread(values), len(values), band, inside))
    head = (
        "rule",
        "optimiser",
        "rank",
        "backward MACs / bp",
        study.measure.name,
        "seeds",
        "accept",
        "inside",
    )
    return "\n\n".join([table(head, lines), *claims(study, means)])


def claims(study: Study, means: Mapping[tuple[str, object, str], float]) -> Iterator[str]:
    """How far learned feedback is from backprop under the same optimiser."""
    for name, rank, other, optimiser, most in study.claims:
        ours, theirs = means.get((name, rank, optimiser)), means.get((other, "–", optimiser))
        if ours is not None and theirs is not None:
            short = study.measure.better * (theirs - ours)
            where = f"{name}, rank {rank}, is {short:.2f} behind {other} ({optimiser})"
            yield f"{where}; at most {most}: {yes(short <= most)}"


def yes(condition: bool) -> str:
    """A word for the table."""
    return "yes" if condition else "**no**"


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", nargs="?", choices=STUDIES, default="dense", help="which network")
    parser.add_argument("--table", action="store_true", help="print what is there; train nothing")
    asked = parser.parse_args()
    study = STUDIES[asked.study]
    one_thread()
    results = stored(study)
    for row, seed in () if asked.table else missing(study, results["runs"]):
        spec = study.spec(row, seed)
        done = run(asked.study, spec)
        label = f"{row.name}, {row.optimiser}, rank {row.rank}, seed {seed}"
        results["machine"] = machine()
        results["runs"][key(spec)] = {"row": label, **done}
        keep(study, results)
        print(f"{label}: {done[study.measure.name][-1]:.2f}, {done['seconds']:.0f} s", flush=True)
    print(report(study, results["runs"]))


if __name__ == "__main__":
    main()
