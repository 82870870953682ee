"""Locks: what named experiments come to, as text that is committed, and that `fac check --locked` holds specs to.

`facts` says what a spec comes to, `file` is the text, `differences` what is no longer so.
"""

from fac.lint.lock.facts import Fact, Facts, facts
from fac.lint.lock.file import Lock, locked

__all__ = ["Fact", "Facts", "Lock", "facts", "locked"]
