"""Site-symmetry codes: for each of 15 axes, which of 13 symmetry symbols a site has along it (paper, section 4.2).

A code is stored as 15 class indices into `SYMBOLS`; one-hot it is the paper's 15×13 matrix.
"""

from __future__ import annotations

SYMBOLS = ("1", "-1", "2", "m", "3", "4", "-4", "2/m", "-3", "6", "-6", "4/m", "6/m")
"""Symbols of one axis; ``1`` also stands for an axis without any element, ``-1`` for none but the inversion."""
