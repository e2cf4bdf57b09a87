"""Errors that a user can act on: the message names the file, the row and what to do."""


class SymmcdError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(SymmcdError, ValueError):
    """Input that cannot be used as it is: a file, a row of a table, a setting, a structure."""
