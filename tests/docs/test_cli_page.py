"""The page of all commands is what the commands say now."""

from pathlib import Path

import click

from core.cli import COMMANDS, group
from core.cli.manual import manual

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def sections(text):
    """Text of each command's section."""
    found = {}
    for part in text.split("\n## ")[1:]:
        name, _, rest = part.partition("\n")
        found[name] = rest
    return found


def test_the_page_is_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == manual(), "docs/cli.md is stale: python -m core.cli.manual > docs/cli.md"


def test_every_option_of_every_command_stands_there_with_its_meaning():
    found = sections(PAGE.read_text(encoding="utf-8"))
    assert list(found) == list(COMMANDS)
    n = 0
    for name, text in found.items():
        rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| `")]
        for option in group.get_command(click.Context(group), name).params:
            if isinstance(option, click.Option):
                for spelling in (*option.opts, *option.secondary_opts, *getattr(option, "old", ())):
                    n += 1
                    assert any(f"`{spelling}`" in row[0] + row[-1] and len(row[-1]) > 5 for row in rows), spelling
    assert n > 200
    assert "`--nonsense`" not in "".join(found.values())


def test_the_page_says_whom_it_is_for():
    title, empty, first = PAGE.read_text(encoding="utf-8").splitlines()[:3]
    assert (title, empty, first[:4]) == ("# Command line", "", "For ")
