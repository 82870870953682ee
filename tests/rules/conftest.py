"""x."""

X: int = 3
