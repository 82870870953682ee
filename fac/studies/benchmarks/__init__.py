"""Benchmarks: studies that hold rules against each other, on each network and data set by a sweep."""
