"""One case from beginning to end: build, hold against the oracle, time in rounds, measure memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import torch

from fac.bench import cases, floor, oracle
from fac.bench.bare import Bare
from fac.bench.case import IN, Case
from fac.bench.contenders import Contender, Entry, State, UnfitError, every
from fac.bench.contenders.emitted import Emitted, session
from fac.bench.memory import peak
from fac.bench.results import Floor, Measured, Timed
from fac.build.costs import optimised_step
from fac.diagnostics import FacError
from fac.pipeline import lowered
from fac.tuning.rounds import clock, rounds

Say = Callable[[str], None]
TURN, MOST = 0.25, 32
"""Seconds that a turn of the first contender should take, and how many steps that may be at most."""


@dataclass
class Steps:
    """A contender in the rounds: each begins with the state of the first, on batches that it sees once."""

    contender: Contender
    state: State
    batches: list[Any]
    loss: Any = field(default=None)

    def ready(self) -> None:
        self.contender.load(self.state)
        if len(self.batches) > 2:
            self.contender.steps(
                self.batches[:1]
            )  # of one long step, cold caches are no part worth doubling it for

    def run(self) -> None:
        self.loss = self.contender.steps(self.batches[1:])

    def left(self) -> str:
        loss = float(self.loss)
        return "" if math.isfinite(loss) else f"its loss became {loss} while it was timed"


@dataclass
class _Bare:
    """A floor in the rounds."""

    call: Callable[[], object]
    times: int

    def ready(self) -> None:
        if self.times > 1:
            self.call()

    def run(self) -> None:
        for _ in range(self.times):
            self.call()

    def left(self) -> str:
        return ""


def measured(
    name: str,
    rules: Sequence[str],
    count: int,
    threads: int,
    *,
    command: str = "",
    peers: bool,
    memory: bool,
    say: Say,
) -> Measured:
    """What came of a case.

    Args:
        name: of the case.
        rules: those that are timed.
        count: rounds.
        threads: of torch.
        command: to be kept with it.
        peers: whether others than eager torch are timed beside fac.
        memory: whether a process of its own is started for each contender.
        say: told what goes on.
    """
    torch.set_num_threads(threads)
    case, small = cases.made(name)
    probe = session(case, "bp", "torch", "float32")
    mode: str = getattr(probe, "matmul", "highest")
    del probe
    entries = every(case, rules, mode, peers=peers)
    left = {
        f"fac {rule}": "the network of this case has no such rule" for rule in rules if rule not in case.rules
    }
    for lacking, why in left.items():
        say(f"{name}: no {lacking}: {why}")
    say(f"{name}: holding {len(entries)} contenders against float64")
    built = held(case, small, entries, left, say)
    if not built:
        raise FacError(
            f"`{name}`: no contender is left, {'; '.join(f'{who}: {why}' for who, why in left.items())}"
        )
    steps = _steps(case, next(iter(built.values()))[0])
    turns: dict[str, Any] = {}
    for key, (contender, state, _) in built.items():
        placed = [contender.place(*batch) for batch in case.batches(steps + 1, "float32")]
        turns[key] = Steps(contender, state, placed)
    bare = Bare(case.batch, mode)
    works = {}
    for rule in dict.fromkeys(entry.rule for entry in entries if entry.name in built):
        works[rule] = floor.floor(optimised_step(lowered(case.spec(rule))), case.batch)
        try:
            if IN in rule:
                raise UnfitError("its products are not of float32, and no bare one of them is timed")
            turns[_floor(rule)] = _Bare(bare.turn(works[rule]), steps)
        except UnfitError as error:
            left[_floor(rule)] = str(error)
            say(f"{name}: no {_floor(rule)}: {error}")
    say(f"{name}: {count} rounds of {len(turns)} turns of {steps} steps")
    seconds, lost = rounds(turns, count, clock(threads), lambda _: None)
    for key, why in lost.items():
        say(f"{name}: {key} is left out: {why}")
    timed = {}
    for entry in entries:
        if entry.name in seconds:
            timed[entry.name] = Timed(
                rule=entry.rule,
                seconds=[s / steps for s in seconds[entry.name]],
                memory=_peak(name, entry.name, threads, mode, left, say) if memory else None,
                deviation=built[entry.name][2],
            )
    floors = {
        rule: Floor(
            macs=floor.totals(found)[0],
            bytes=floor.totals(found)[1],
            seconds=[s / steps for s in seconds[_floor(rule)]],
        )
        for rule, found in works.items()
        if _floor(rule) in seconds
    }
    says = cases.CASES[name].says
    return Measured(
        says=says,
        command=command,
        steps=steps,
        products=mode,
        timed=timed,
        floors=floors,
        feedback=feedback(case, rules),
        left={**left, **lost},
    )


def feedback(case: Case, rules: Sequence[str]) -> dict[str, str]:
    """What stands under `feedback` in the spec of each rule that a case has, if that is more than its name."""
    return {rule: json.dumps(case.rules[rule]) for rule in rules if len(case.rules.get(rule, {})) > 1}


def _peak(name: str, contender: str, threads: int, mode: str, left: dict[str, str], say: Say) -> float | None:
    try:
        return peak(name, contender, threads, mode)
    except UnfitError as error:
        left[f"peak of {contender}"] = str(error)
        say(f"{name}: no peak of {contender}: {error}")
        return None


def _floor(rule: str) -> str:
    return f"floor of {rule}"


def held(
    case: Case, small: Case, entries: Sequence[Entry], left: dict[str, str], say: Say
) -> dict[str, tuple[Contender, State, float]]:
    """Those that hold, each with the state that it begins with and how far it is from its oracle.

    What is held is what will be timed, on a GPU the graph that was recorded, of as many steps as it has.

    Args:
        case: in which.
        small: the same kind of network, on which oracles are held themselves.
        entries: who is built, in float32.
        left: gets who cannot be built or does not hold, and why.
        say: told the same.
    """
    found: dict[str, tuple[Contender, State, float]] = {}
    for rule in dict.fromkeys(entry.rule for entry in entries):
        oracle.proved(small, rule)
        state = oracle.initial(case, rule)
        expected: list[tuple[State, int, State]] = []
        for entry in (each for each in entries if each.rule == rule):
            try:
                contender = entry.build(case, state, "float32")
                begun, steps = contender.begin(state), oracle.STEPS
                if contender.settling:
                    steps = max(steps, contender.at_once)
                for _ in range(contender.settling):
                    oracle.moved(case, contender, "float32", steps)
                contender.load(begun)
                far = oracle.apart(
                    oracle.moved(case, contender, "float32", steps),
                    _expected(case, rule, begun, steps, expected),
                    begun,
                    oracle.standing(case, rule, begun, steps),
                )
            except FacError as error:  # a backend that is not installed, or memory that ended, too
                left[entry.name] = str(error)
                say(f"{entry.name} is left out: {error}")
                continue
            if not far < case.tolerance(rule):
                left[entry.name] = f"after {steps} steps it is {far:.0e} from its float64 oracle"
                say(f"{entry.name} is not timed: {left[entry.name]}")
                continue
            found[entry.name] = contender, begun, far
    return {entry.name: found[entry.name] for entry in entries if entry.name in found}


def _expected(
    case: Case, rule: str, begun: State, steps: int, known: list[tuple[State, int, State]]
) -> State:
    """Where the oracle comes to from a state, on the CPU; it is asked once for each."""
    for state, count, after in known:
        if state is begun and count == steps:
            return after
    after = oracle.moved(case, Emitted(case, begun, "float64", rule=rule, backend="torch"), "float64", steps)
    known.append((begun, steps, after))
    return after


def _steps(case: Case, contender: Contender) -> int:
    """How many make a turn."""
    if case.many:
        return MOST
    batches = [contender.place(*batch) for batch in case.batches(2, "float32")]
    contender.steps(batches)
    begun = process_time()
    contender.steps(batches)
    return max(1, min(MOST, round(TURN * len(batches) / (process_time() - begun))))
