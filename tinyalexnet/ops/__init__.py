"""The operations, one folder each: formula, checks, and three codes that compute the same.

``ops/X/__init__.py`` has the public functions: formula, shapes, errors, source; they check their arguments and call one
of the codes. ``reference.py`` is the formula in NumPy, ``cpu.py`` is compiled by Numba for processors and ``cuda.py``
for GPUs: functions of the same names, arithmetic alone.
"""
