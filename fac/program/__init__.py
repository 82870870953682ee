"""The network level: nodes with shapes, routes with resolved ends, and where each came from in the spec."""
