"""The journal by its earlier name; goes when the last stage has taken the new one."""

from symmcd.journal import Journal, Progress

__all__ = ["Journal", "Progress"]
