"""FAC229: samples that are trained on, and tested on as well."""

from __future__ import annotations

from collections.abc import Iterator

from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program

TESTED_ON_TRAINING_DATA = Rule("FAC229", "tested-on-training-data", Severity.WARNING)


def tested_on_training_data(program: Program) -> Iterator[Diagnostic]:
    """The test samples, or those of the validation, are the training samples by another key.

    A network may know each sample that it was trained on by heart. What it makes of these says nothing of others, so
    a file of its own is for testing, or a part of the one that there is: `test_share` draws one, and `split` names an
    array or a column that says which sample belongs where. Only what stands in the spec is compared. Where files of
    other names hold the same samples, the training says so as it reads them.

    Bad:

        data: {source: arrays, train: all.npz, test: all.npz}

    Good:

        data: {source: arrays, train: all.npz, test_share: 0.2}
    """
    data = program.spec.data
    if data is None:
        return
    kind = kind_of("fac.data", data)
    shares = "test_share" in type(data).model_fields
    for field in kind.trained_on(data):
        other = ", or write `test_share: 0.2` in its place" if shares and field == "test" else ""
        yield TESTED_ON_TRAINING_DATA.at(
            ("data", field),
            f"`data.{field}` names the samples of `data.train`, and what is known by heart says nothing of others",
            help=f"name samples that are not trained on{other}",
        )
