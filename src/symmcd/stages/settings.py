"""``symmcd settings``: every setting with its meaning, or a config file checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from symmcd.command import Parser, read_config
from symmcd.settings import SECTIONS

EXAMPLE = "--config config/cpu.yaml training"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    text = f"only these sections, of: run, {', '.join(SECTIONS)}"
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=text)
    text = "config file to check and print with all defaults"
    parser.add_argument("--config", dest="path", type=Path, metavar="FILE", help=text)
    text = "may be repeated"
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="SECTION.KEY=VALUE", help=text)
    parser.add_argument("--schema", action="store_true", help="the JSON schema of a config file, as YAML")


def run(sections: Sequence[str], path: Path | None, changes: Sequence[str], *, schema: bool) -> None:
    """Print the sections of a config file, with defaults for what it leaves out; or the schema of such files.

    Raises:
        InputError: no such section, or settings that cannot be used.
    """
    from symmcd import config

    if schema:
        import yaml

        print(yaml.safe_dump(config.schema(), sort_keys=False, allow_unicode=True, width=120), end="")
        return
    whole = read_config(path, changes)
    config.check_together(whole)
    print(config.describe(whole, only=sections))
