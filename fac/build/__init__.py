"""Program -> step functions: layers, routes, updates and probes written out with the builder."""
