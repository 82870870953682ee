"""`fac sample`: text from a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.cli.runs import network
from fac.diagnostics import FacError


@click.command()
@click.argument("run", type=PATH)
@click.option("--prompt", default="\n", help="The text to go on with. Default: a line end.")
@click.option(
    "--length", type=click.IntRange(min=1), default=400, show_default=True, help="How many bytes to write."
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.8,
    show_default=True,
    help="Below 1 likely bytes become likelier; at 0 the likeliest is taken.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
def sample(
    run: Path,
    prompt: str,
    length: int,
    temperature: float,
    seed: int,
    backend: str | None,
    device: str | None,
) -> None:
    """Print text as the network of RUN goes on with it, the folder of a run or its state.

    The network is one that was trained on `data: {source: text}`. The prompt stands first. Bytes that are no text, or
    that would steer a terminal, are replaced.
    """
    from fac.experiments.backends import chosen
    from fac.experiments.job import Where
    from fac.training.sampling import continued

    given = prompt.encode("utf-8", "surrogateescape")
    if not given:
        raise FacError("`--prompt` is empty: a network goes on with at least one byte")
    engine = chosen(backend)
    trained = network(run, Where(engine.name, device, engine.default_precision))
    session, found = trained.session, trained.checkpoint
    if found.whose:
        say(f"the state after step {found.step}{found.whose}", err=True)
    made = bytes(continued(session, given, length, temperature, seed))
    echo((given + made).decode("utf-8", "replace"))


COMMAND = sample
