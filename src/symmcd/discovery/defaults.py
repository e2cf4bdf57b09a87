"""Defaults of `symmcd discover`; this module loads nothing, because the help of the command line reads it."""

from __future__ import annotations

NUMBER, STABLE = 300, 20  # crystals; drafts for each
