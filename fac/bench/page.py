"""The page of a run, as a function of its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from fac.bench.results import BASELINE, DEFAULTS, Measured, Results
from fac.escaping import code, prose
from fac.tuning.rounds import spread

OWN = "fac bp"
HEADER = (
    "contender",
    "ms per step",
    "middle half",
    f"× {BASELINE}",
    "middle half",
    f"× {DEFAULTS}",
    f"× {OWN}",
    "step / floor",
    "peak MiB",
)
LEGEND = (
    "“×”: how many times faster than that contender, the median of the ratios within each round, and the middle half "
    "of them. The floor of a rule is what its step cannot do without: its products, each as one bare kernel on the "
    "same shapes, and the bytes that have to be moved besides; it is timed in the same rounds, and “step / floor” is "
    "what the code adds to it: below 1 where a step does two of these things in one call, or calls less often. “eager, "
    "default flags” is torch as it comes, `torch.optim.SGD` without options; “same "
    "flags” has float32 products computed as a session of fac does, and the fused SGD. “peak” is that of a process of "
    "its own, opening included, above what the same code takes on a tiny network. After 2 steps each contender was "
    "within 1e-2 of its float64 oracle (1e-1 behind norms of maps, 6e-2 in bfloat16), tensor by tensor, relative to "
    "how far the tensor moved."
)
TITLE = "# Training steps"


def page(results: Results, picture: str = "") -> str:
    """All of it, in Markdown.

    Args:
        results: of a run.
        picture: the name of the file beside it, if there is one.
    """
    made_on = ", ".join(f"{name} {value}" for name, value in results.machine.items() if name != "processor")
    threads = "one thread" if results.threads == 1 else f"{results.threads} threads"
    lines = [
        TITLE,
        "",
        f"Made by `fac bench` on {code(results.machine.get('processor', 'an unknown processor'))}, with "
        f"{code(made_on)}; {threads}, {prose(results.clock)}, float32, SGD with momentum.",
        "",
        LEGEND,
        "",
    ]
    if picture:
        lines += [f"![How many times faster than eager torch]({picture})", ""]
    for name, case in results.cases.items():
        lines += [f"## {name}", "", *_case(case), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _case(case: Measured) -> Iterator[str]:
    yield f"{prose(case.says)}; {case.rounds} rounds of {case.steps} steps, float32 products {code(case.products)}."
    yield f"Made by {code(case.command)}."
    yield ""
    yield from table(HEADER, [_row(case, name) for name in case.timed])
    yield ""
    for rule, floor in case.floors.items():
        middle = 1000 * median(floor.seconds)
        yield (
            f"- floor of {code(rule)}: {floor.macs / 1e6:,.1f} M multiply-adds, {floor.bytes / 1e6:,.1f} MB besides, "
            f"{shown(middle)} ms"
        )
    for rule, section in case.feedback.items():
        yield f"- {code(rule)} is {code('feedback: ' + section)}"
    for name, why in case.left.items():
        yield f"- left out: {code(name)}, because {code(why)}"


def _row(case: Measured, name: str) -> tuple[str, ...]:
    one = case.timed[name]
    middle, low, high = spread(1000 * second for second in one.seconds)
    gains, above = case.gains(name), case.above(name)
    ends = ("–", "–")
    if gains is not None:
        ratio, least, most = spread(gains)
        ends = f"**{ratio:.2f}**", f"{least:.2f} to {most:.2f}"
    others = [case.gains(name, base) for base in (DEFAULTS, OWN)]
    return (
        code(name),
        shown(middle),
        f"{shown(low)} to {shown(high)}",
        *ends,
        *("–" if each is None else f"{median(each):.2f}" for each in others),
        "–" if above is None else f"{median(above):.2f}",
        "–" if one.memory is None else f"{one.memory:,.0f}",
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """In Markdown: the first column is text, the others are numbers."""
    for line in (header, ["---"] + ["---:"] * (len(header) - 1), *rows):
        yield "| " + " | ".join(line) + " |"


def shown(milliseconds: float) -> str:
    """To three digits."""
    return f"{milliseconds:.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}"
