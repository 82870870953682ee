"""The step IR: a typed SSA tensor program with a symbolic batch size, its reverse mode and its routing."""
