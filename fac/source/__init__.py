"""Text in; plain data and the place of every key and value out.

What a text gets wrong becomes a diagnostic, never an exception. Exceptions are for files that cannot be read
and for `--set` arguments that make no sense.
"""

from fac.source.comments import INVALID_IGNORE, UNUSED_IGNORE
from fac.source.document import DUPLICATE_KEY, EMPTY_SPEC, UNREADABLE_TEXT, UNSUPPORTED_YAML, Document
from fac.source.overrides import Overrides, assignments_of, override
from fac.source.reading import from_data, parse_text, read

RULES = (UNREADABLE_TEXT, DUPLICATE_KEY, EMPTY_SPEC, UNSUPPORTED_YAML, UNUSED_IGNORE, INVALID_IGNORE)

__all__ = ["RULES", "Document", "Overrides", "assignments_of", "from_data", "override", "parse_text", "read"]
