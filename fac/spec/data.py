"""The `data:` section of a spec: where the samples come from."""

from __future__ import annotations

from fac.spec.base import Model


class Data(Model):
    """One data source. Each kind derives from this and adds `source: Literal["its_name"]` and its own fields.

    The kinds of the core stand in `fac/training/data/`, others come through the entry-point group `fac.data`.
    """
