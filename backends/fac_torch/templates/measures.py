"""What probes measure, each by one kernel."""

from __future__ import annotations

from fac_torch.templates.base import Line, Template, kernel


def paired(name: str) -> Template:
    """A kernel of two lists of tensors, as if each were stacked: operands are all x, then all y."""

    def text(line: Line) -> str:
        half = len(line.arguments) // 2
        sides = (", ".join(side) for side in (line.arguments[:half], line.arguments[half:]))
        return f"kernels.{name}([{'], ['.join(sides)}], {line['floor']!r})"

    return Template(text)


def captured(line: Line) -> str:
    """Of what space, and then all errors."""
    p, *errors = line.arguments
    return f"kernels.captured_energy({p}, [{', '.join(errors)}])"


MEASURES: dict[str, Template] = {
    "captured_energy": Template(captured),
    **{name: paired(name) for name in ("cosine", "sample_cosine", "sample_cosine_sd", "sample_cosines")},
    "norm_ratio": Template(kernel("norm_ratio").text),
}
