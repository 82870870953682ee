"""What commands do, as functions that return objects: `fac.train`, `fac.compare`, `fac.sweep`, `fac.evaluate`, ….

Nothing is printed. What a person should know, such as numbers that are read in another shape, is logged as a warning
by the logger `fac`.
"""
