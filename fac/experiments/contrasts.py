"""What a declared contrast says: the paired difference of two rows over equal seeds, and how sure it is.

Runs of one seed share initial weights and data order, so the noise that both have is in neither difference.
Of n differences d with mean m and standard deviation s the standard error is s / √n, the interval
m ± t(0.975, n − 1) s / √n (Student 1908), and the effect size d_z = m / s (Cohen 1988, 2.3.5). The power of the
paired t test over n runs is that of a noncentral t with n − 1 degrees of freedom and noncentrality d_z √n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, sqrt
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError

if TYPE_CHECKING:
    from fac.experiments.rows import Row

LEVEL = 0.95
"""Of intervals; the test is two-sided at 1 minus this."""
POWER = 0.8
LEAST = 5
"""Runs below which there is an interval, but no verdict: t quantiles are wide there, and s is hardly known."""
EPSILON = 2.0**-52
"""Of the results, which are float64."""
MOST = 1_000_000
"""Runs beyond which nobody plans."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows that are compared because somebody said so before they were trained."""

    one: str
    other: str

    def __str__(self) -> str:
        """As it is declared."""
        return f"{self.one}:{self.other}"


@dataclass(frozen=True, slots=True)
class Contrast:
    """What came of a pair: all differences are those of `one` minus `other`."""

    pair: Pair
    metric: str
    """`test_accuracy`, or `test_loss` where one of the two does not classify."""
    seeds: tuple[int, ...]
    """Those in which both have a result."""
    left_out: tuple[int, ...]
    """Those in which one diverged or failed."""
    difference: float | None
    """Mean over the seeds; None without any."""
    standard_error: float | None
    """None below two seeds, as all below."""
    interval: tuple[float, float] | None
    """None, too, where all differences are equal: one of no width would say that the next seed gives the same."""
    effect: float | None
    """d_z; None, too, where all differences are equal."""
    runs_needed: int | None
    """The least number of seeds at which a paired t test finds an effect of this size in 80 % of all cases. None, too,
    where it is above a million, or there is no effect."""
    warned: tuple[int, ...] = ()
    """Seeds of a run that has a result, and is warned of."""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `open` of the first row; empty below five seeds."""
        if len(self.seeds) < LEAST or self.interval is None:
            return ""
        low, high = self.interval
        if low <= 0 <= high:
            return "open"
        return "better" if (low > 0) == (self.metric == "test_accuracy") else "worse"

    def flat(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "contrast": str(self.pair),
            "one": self.pair.one,
            "other": self.pair.other,
            "metric": self.metric,
            "seeds": self.seeds,
            "left_out": self.left_out,
            "warned": self.warned,
            "difference": self.difference,
            "standard_error": self.standard_error,
            "interval": self.interval,
            "level": LEVEL,
            "effect_size": self.effect,
            "runs_needed": self.runs_needed,
            "verdict": self.verdict or None,
        }


def declared(texts: Sequence[str], labels: Sequence[str], seeds: int) -> tuple[Pair, ...]:
    """The pairs that texts such as `ldfa:bp` name, each once.

    Args:
        texts: two labels with a colon between; labels may have colons of their own.
        labels: of all rows.
        seeds: how many there are of each row.

    Raises:
        FacError: a row is unknown or compared with itself, there is a single seed, or SciPy is not installed.
    """
    pairs = tuple(dict.fromkeys(_pair(text, labels) for text in texts))
    if pairs and seeds < 2:
        raise FacError(
            f"a contrast needs at least 2 seeds, and {LEAST} for a verdict: there is 1, so leave out `{pairs[0]}`, or "
            "train more"
        )
    if pairs:
        _scipy()
    return pairs


def contrast(pair: Pair, rows: Sequence[Row]) -> Contrast:
    """What came of a pair.

    Args:
        pair: two labels of `rows`.
        rows: with the runs that were made.
    """
    one, other = (next(row for row in rows if row.variant.label == label) for label in (pair.one, pair.other))
    metric = "test_accuracy" if one.classifies and other.classifies else "test_loss"
    theirs = {run.seed: run.value(metric) for run in other.runs}
    both = [(run.seed, run.value(metric), theirs[run.seed]) for run in one.runs if run.seed in theirs]
    known = [(seed, a, b) for seed, a, b in both if a is not None and b is not None]
    found = _levelled(
        {seed: a - b for seed, a, b in known}, max((abs(v) for _, *two in known for v in two), default=0)
    )
    marked = {run.seed for row in (one, other) for run in row.runs if any(run.warned)}
    left_out = tuple(seed for seed, *_ in both if seed not in found)
    return replace(_contrast(pair, metric, found, left_out), warned=tuple(s for s in found if s in marked))


def _levelled(found: dict[int, float], largest: float) -> dict[int, float]:
    """Differences that are equal but for the rounding of what they are made of, as equal: k/360 - (k - 5)/360."""
    values = [*found.values()]
    if values and max(values) - min(values) <= 4 * EPSILON * largest:
        return dict.fromkeys(found, values[0])
    return found


def _contrast(pair: Pair, metric: str, found: dict[int, float], left_out: tuple[int, ...]) -> Contrast:
    seeds, values = tuple(found), [*found.values()]
    middle = mean(values) if values else None
    if middle is None or len(values) < 2:
        return Contrast(pair, metric, seeds, left_out, middle, None, None, None, None)
    if max(values) == min(values):
        return Contrast(pair, metric, seeds, left_out, middle, 0.0, None, None, None)
    spread = stdev(values)
    effect = middle / spread
    needed = runs_needed(effect)
    error = spread / sqrt(len(values))
    return Contrast(pair, metric, seeds, left_out, middle, error, interval(values), effect, needed)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Of what two or more numbers are drawn from, by Student's t: 95 of 100 such intervals hold its mean."""
    middle, freedom = mean(values), len(values) - 1
    reach = t_quantile(0.5 + LEVEL / 2, freedom) * stdev(values) / sqrt(len(values))
    return middle - reach, middle + reach


def cells(contrasts: Sequence[Contrast]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The contrasts as a header and what stands below it: differences of accuracies in points of percent."""
    numbers = (
        "seeds",
        "difference",
        "standard error",
        "95 % interval",
        "effect size",
        "seeds for 80 % power",
    )
    return ("contrast", "of", *numbers, "verdict"), [_cells(found) for found in contrasts]


def _cells(found: Contrast) -> tuple[str, ...]:
    scale, digits = (100, 2) if found.metric == "test_accuracy" else (1, 4)

    def shown(value: float | None, sign: str = "+") -> str:
        return "–" if value is None else f"{scale * value:{sign}.{digits}f}"

    interval, effect, needed = found.interval, found.effect, found.runs_needed
    return (
        f"{found.pair.one} − {found.pair.other}",
        "test accuracy, points" if found.metric == "test_accuracy" else "test loss",
        str(len(found.seeds)),
        shown(found.difference),
        shown(found.standard_error, ""),
        "–" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}",
        "–" if effect is None else f"{effect:+.2f}",
        "–" if effect is None else "over a million" if needed is None else f"{needed:,}",
        {"better": "better", "worse": "worse", "open": "not told apart", "": "–"}[found.verdict],
    )


def remarks(contrasts: Sequence[Contrast]) -> Iterator[str]:
    """What a reader of the contrasts must know."""
    for found in contrasts:
        if found.left_out:
            seeds = ", ".join(map(str, found.left_out))
            yield (
                f"`{found.pair}`: without seed{'s' * (len(found.left_out) > 1)} {seeds}, where one of the two has no "
                "result"
            )
        if found.warned:
            seeds = ", ".join(map(str, found.warned))
            yield f"`{found.pair}`: with seed{'s' * (len(found.warned) > 1)} {seeds}, of which a line above warns"
        if found.interval is None and len(found.seeds) > 1:
            yield f"`{found.pair}`: the differences of all {len(found.seeds)} seeds are equal, which gives no interval"
    few = [f"`{found.pair}`" for found in contrasts if len(found.seeds) < LEAST]
    if few:
        yield f"{', '.join(few)}: no verdict below {LEAST} seeds"


def t_quantile(share: float, freedom: int) -> float:
    """The number that a t distribution of so many degrees of freedom stays below with that probability."""
    return float(_scipy().t.ppf(share, freedom))


def power(effect: float, runs: int) -> float:
    """That of a two-sided paired t test over so many pairs, at d_z = `effect`."""
    stats, freedom, shift = _scipy(), runs - 1, abs(effect) * sqrt(runs)
    bound = t_quantile(0.5 + LEVEL / 2, freedom)
    found = float(stats.nct.sf(bound, freedom, shift) + stats.nct.cdf(-bound, freedom, shift))
    return found if isfinite(found) else 1.0  # so far out that the series of the library ends


def runs_needed(effect: float) -> int | None:
    """The least number of pairs at which the power is 80 %; None where it is above a million."""
    if not effect or power(effect, MOST) < POWER:
        return None
    low, high = 1, 2  # the power grows with the number of pairs
    while power(effect, high) < POWER:
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = ceil((low + high) / 2)
        low, high = (middle, high) if power(effect, middle) < POWER else (low, middle)
    return high


def _pair(text: str, labels: Sequence[str]) -> Pair:
    cuts = [(text[:i].strip(), text[i + 1 :].strip()) for i, sign in enumerate(text) if sign == ":"]
    known = [Pair(*cut) for cut in cuts if cut[0] in labels and cut[1] in labels]
    if known:
        if known[0].one == known[0].other:
            raise FacError(f"the contrast `{text}` compares a row with itself: name two")
        return known[0]
    rows = ", ".join(f"`{label}`" for label in labels)
    if not cuts:
        raise FacError(f"`{text}` is no contrast: name two rows with a colon between, of {rows}")
    unknown = next((name for cut in cuts for name in cut if name not in labels), "")
    raise FacError(f"the contrast `{text}` names no row `{unknown}`; there are {rows}")


def _scipy() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise FacError('contrasts need SciPy: `pip install "fac-compiler[stats]"`') from error
    return stats
