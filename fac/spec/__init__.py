"""The user's vocabulary: one file per section of the spec. Knows no shapes."""
