"""Studies: what a paper says, as tables that one command makes and claims that it tests.

A study is a folder with spec files and a `study.py`, which names the rows of its tables, the figures of each, and what
has to come out. `fac study NAME` trains and measures what is missing, and writes the tables. A benchmark is a study
that holds learning rules against each other, each with settings of its own.
"""

from fac.studies.benchmarks.model import Benchmark, Task
from fac.studies.lab import Lab, Measured, Training, trained
from fac.studies.model import Claim, Column, Results, Row, Study, Table, between, every, leads

__all__ = [
    "Benchmark",
    "Claim",
    "Column",
    "Lab",
    "Measured",
    "Results",
    "Row",
    "Study",
    "Table",
    "Task",
    "Training",
    "between",
    "every",
    "leads",
    "trained",
]
