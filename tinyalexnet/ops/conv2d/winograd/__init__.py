"""Winograd's algorithm for the convolution: fewer multiplications by working on tiles. Derivation: docs/winograd.md.

``choice`` decides if a convolution uses it; ``matrices`` has the exact matrices. ``reference``, ``cpu`` and ``cuda``
have the same three functions as those in ``ops/conv2d``, with the tile as the last argument.
"""
