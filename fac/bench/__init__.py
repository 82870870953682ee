"""How long a training step takes, and what bounds it: `fac bench`.

A case is a network as a spec and as a module of torch; contenders are its steps by each rule and by others; the floor
is the products and bytes of a step as bare kernels. `running.py` holds each contender against float64 and times what
held, `results.py` keeps it, `page.py` and `picture.py` show it, `against.py` compares two files.

torch is imported by cases, contenders and the floor, which are imported when something is timed.
"""
