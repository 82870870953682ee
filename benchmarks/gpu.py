"""Time of one training step on a GPU: cases of `fac bench`, by wall time to where the device is done.

Before it is timed, each contender is held against its float64 oracle as `fac bench` does it: by the graph that is
timed, of as many steps as it has, and by new batches. Who is too far away, or cannot be built, is left out, which is
said. The last table has what is asked of steps on CPUs, and what came of it here.

    python -m benchmarks.gpu                          # what `make test-gpu` ends with
    python -m benchmarks.gpu --cases mlp-64 vgg8 --rounds 40
    python -m benchmarks.gpu --products high          # in TF32, for all but eager torch with default flags
    python -m benchmarks.gpu --device cpu --rounds 3 --cases mlp-64    # that it runs, where there is no GPU
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.machine import machine, quartiles, ratio, table
from fac.bench.case import TURNED, WAVERS, Case, narrowed
from fac.bench.cases import CASES, RULES, made
from fac.bench.contenders import COMPILED, Entry, State
from fac.bench.contenders.eager import Eager, compiled
from fac.bench.contenders.emitted import Emitted
from fac.bench.results import BASELINE, DEFAULTS
from fac.bench.running import Steps, held
from fac.diagnostics import FacError
from fac.tuning.rounds import rounds
from fac_torch.device import chosen, float32_products

RESULTS = Path(__file__).parent / "results" / "gpu.json"
SINGLE, OWN, NARROW = "fac bp, kernel by kernel", "fac bp", f"fac {narrowed('ldfa')}"
STEPS = 32
"""In a turn: several graphs of a small network."""
MIB = 1 << 20
GOALS = (
    ("mlp-1024", "fac ldfa", BASELINE, "1.45 (Intel), 1.35 (AMD)"),
    ("mlp-2048", "fac ldfa", BASELINE, "1.6 (Intel), 1.5 (AMD)"),
    ("mlp-4096", "fac ldfa", BASELINE, "2.0 (Intel), 1.9 (AMD)"),
    ("mlp-64", "fac ldfa", BASELINE, "2.5"),
    ("vgg8", "fac ldfa", BASELINE, "1.27"),
    ("resnet18", "fac ldfa", BASELINE, "1.2"),
    ("vit", "fac ldfa", BASELINE, "1.27"),
    ("mlp-2048", "fac dfa", OWN, "1.40"),
    ("mlp-2048", "fac ldfa", OWN, "1.40"),
    ("mlp-2048", NARROW, DEFAULTS, "3"),
)
"""Case, contender, how many times faster than whom, and what is asked of it on a CPU."""
PEAK = "mlp-4096", "fac ldfa", BASELINE, "at most 0.65"
"""Of which contender's memory that is the part which may be taken."""
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Rounding(Case):
    """A case whose products read 10 bits after the point, as TF32 does.

    With operands rounded so on a CPU, two steps were within 0.04 of the oracle, and of ResNet-18 within 0.16.
    """

    def tolerance(self, rule: str) -> float:
        """As of bfloat16, and where norms of maps spread what is rounded three times that of float32."""
        return max(TURNED, 3 * self.rounded)

    def still(self, rule: str) -> float:
        """As of bfloat16."""
        return WAVERS


@dataclass
class Turn(Steps):
    """Ends where the device is done."""

    device: str = "cpu"

    def ready(self) -> None:
        """Nothing is left to do when the clock starts."""
        super().ready()
        done(self.device)

    def run(self) -> None:
        """Within the clock."""
        super().run()
        done(self.device)


def done(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize()


def single(case: Case, state: State | None, precision: str, *, device: str) -> Emitted:
    """Backpropagation of fac without a graph."""
    found = Emitted(case, state, precision, rule="bp", backend="torch", device=device)
    found.session.captures = False  # type: ignore[attr-defined]
    found.at_once = 1
    return found


def contenders(case: Case, rules: Sequence[str], device: str, products: str) -> list[Entry]:
    """Eager torch under two settings, on a GPU also as graphs of `torch.compile`, and fac by rule."""
    found = [
        Entry(BASELINE, "bp", partial(Eager, mode=products, fused=True, device=device)),
        Entry(DEFAULTS, "bp", partial(Eager, mode="highest", fused=False, device=device)),
    ]
    if device != "cpu":
        found.append(Entry(COMPILED, "bp", partial(compiled, mode=products, device=device)))
    own = [rule for rule in case.rules if rule in rules]
    for rule in (*own, *(narrowed(rule) for rule in own if rule in case.narrow)):
        found.append(Entry(f"fac {rule}", rule, partial(Emitted, rule=rule, backend="torch", device=device)))
    if "bp" in own:
        found.append(Entry(SINGLE, "bp", partial(single, device=device)))
    return found


def peak(case: Case, entry: Entry) -> float:
    """MiB of the device that it takes at most, from its beginning on, beside what is there."""
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    built = entry.build(case, None, "float32")
    batches = [built.place(*batch) for batch in case.batches(max(2, built.at_once), "float32")]
    for _ in range(built.settling + 1):
        built.steps(batches)
    done("cuda")
    return (torch.cuda.max_memory_allocated() - before) / MIB


def measured(name: str, rules: Sequence[str], count: int, device: str, products: str) -> Found:
    """Of a case: milliseconds of a step in each round, distances from oracles, MiB, and who was left out.

    Raises:
        FacError: no contender holds.
    """
    case, small = made(name)
    if products != "highest":
        case = Rounding(**{field.name: getattr(case, field.name) for field in fields(case)})
    entries, left = contenders(case, rules, device, products), dict[str, str]()
    with float32_products(products):
        found = held(case, small, entries, left, lambda told: print(f"{name}: {told}", file=sys.stderr))
        if not found:
            raise FacError(f"`{name}`: no contender is left, {left}")
        turns = {}
        for key, (contender, state, _) in found.items():
            placed = [contender.place(*batch) for batch in case.batches(STEPS + 1, "float32")]
            turns[key] = Turn(contender, state, placed, device=device)
        seconds, lost = rounds(turns, count, perf_counter, lambda _: None)
        far = {key: found[key][2] for key in seconds}
        found, turns = {}, {}  # their memory is free again
        sizes = {e.name: round(peak(case, e), 1) for e in entries if e.name in seconds and device != "cpu"}
    return {
        "batch": case.batch,
        "milliseconds": {key: [round(1000 * s / STEPS, 6) for s in each] for key, each in seconds.items()},
        "deviation": far,
        "MiB": sizes,
        "left": left | lost,
    }


def shown(case: Found) -> str:
    """One line per contender: its time, and how many times faster it is than the baselines."""
    times = case["milliseconds"]
    bases = [name for name in (BASELINE, DEFAULTS, COMPILED, OWN) if name in times]
    rows = [
        (
            name,
            f"{1000 * median(values):.1f}",
            "{:.1f} to {:.1f}".format(*(1000 * value for value in quartiles(values))),
            *(f"{ratio(times[base], values):.2f}" for base in bases),
            f"{case['MiB'][name]:,.0f}" if name in case["MiB"] else "–",
            f"{case['deviation'][name]:.0e}",
        )
        for name, values in times.items()
    ]
    head = (
        "contender",
        "µs per step",
        "middle half",
        *(f"× {base}" for base in bases),
        "MiB",
        "from float64",
    )
    return "\n".join(
        [table(head, rows), *(f"- not timed: {who}, {why}" for who, why in case["left"].items())]
    )


def asked(found: Mapping[str, Found]) -> Iterator[tuple[str, ...]]:
    """What is asked, and what is there of it."""
    for name, contender, base, goal in GOALS:
        times = found.get(name, {}).get("milliseconds", {})
        here = f"{ratio(times[base], times[contender]):.2f}" if {base, contender} <= times.keys() else "–"
        yield f"{name}, {contender}: times faster than {base}", goal, here
    name, contender, base, goal = PEAK
    sizes = found.get(name, {}).get("MiB", {})
    here = f"{sizes[contender] / sizes[base]:.2f}" if {base, contender} <= sizes.keys() else "–"
    yield f"{name}, {contender}: memory of the device over that of {base}", goal, here


def main() -> None:
    """Check, measure, print, and keep the figures of a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--products", choices=("highest", "high"), default="highest")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--rules", nargs="+", default=RULES, choices=RULES)
    parser.add_argument("--cases", nargs="+", default=list(dict.fromkeys(g[0] for g in GOALS)), choices=CASES)
    given = parser.parse_args()
    about = machine()
    results: dict[str, Any] = {
        "products": given.products,
        "rounds": given.rounds,
        "steps": STEPS,
        "cases": {},
    }
    try:
        if chosen(given.device).type == "cuda":
            about |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
        for name in given.cases:
            found = measured(name, given.rules, given.rounds, given.device, given.products)
            results["cases"][name] = found
            if given.device == "cuda":
                RESULTS.write_text(json.dumps({"machine": about, **results}, indent=1) + "\n")
            print(f"{CASES[name].says}, products `{given.products}`\n\n{shown(found)}\n", flush=True)
    except FacError as error:
        sys.exit(str(error))
    print(table(("figure", "asked of a CPU", "here"), asked(results["cases"])))
    print(f"\n{json.dumps(about)}")


if __name__ == "__main__":
    main()
