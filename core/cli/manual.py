"""The page of all commands, written from the commands: `python -m core.cli.manual > docs/cli.md`."""

import inspect
from collections.abc import Iterator

import click

from core.cli import COMMANDS, group
from core.cli.command import Command, Renamed

HEAD = """# Command line

For whoever types `secateur`, or calls it from a script: every command with all of its options.

This page is written by `python -m core.cli.manual > docs/cli.md` from the commands themselves; `--help` behind a
command says the same in a terminal.

- `MODEL` is a sample's name (`secateur models`), the path of a workload file (`secateur init`), or says where a model
  lies: `hf:./folder --data test.csv` ([your own model](your-model.md#one-line)).
- `PLAN` is a file that `--out` wrote. `RUN` is a run's id, or the beginning of it (`secateur runs`).
- `secateur` alone, or with options only, is `secateur dashboard`.
- A drop is given as it is shown: in points of a fraction (1 is one point of accuracy), else in the metric's own unit.
- `--json` prints one JSON document on standard output and nothing else; words about it, and progress, go to standard
  error.
- A command ends with 0, or with 2 and one line on standard error that says what is wrong and how to mend it
  ([errors](errors.md)). With `--json` the document is then `{"error": …}`, or the run as far as it came.
- The environment may name the workspace, `SECATEUR_WORKSPACE`; `SECATEUR_DEBUG=1` shows where a fault of Secateur's own
  happened.
- Old spellings of options work, and say the new one on standard error.
"""


def manual() -> str:
    """The page as Markdown."""
    return "\n".join((HEAD, *_contents(), *(line for name in COMMANDS for line in _section(name))))


def _contents() -> Iterator[str]:
    yield "| command | what it does |"
    yield "| --- | --- |"
    for name, (_, _, what) in COMMANDS.items():
        yield f"| [`{name}`](#{name}) | {what} |"


def _section(name: str) -> Iterator[str]:
    command = group.get_command(click.Context(group), name)
    assert isinstance(command, Command)
    context = click.Context(command, info_name=name, parent=click.Context(group, info_name="secateur"))
    yield f"\n## {name}\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield " ".join(paragraph.split()) + "\n"
    yield "```text"
    yield f"secateur {name} {' '.join(command.collect_usage_pieces(context))}"
    yield "```\n"
    yield "```sh"
    yield from command.examples
    yield "```\n"
    yield "| option | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for param in command.params:
        if isinstance(param, click.Option):
            yield "| " + " | ".join(text.replace("|", "\\|") for text in _row(param)) + " |"


def _row(option: click.Option) -> tuple[str, str, str, str]:
    """Spellings, what is typed behind them, the default, and the meaning."""
    meaning, _, told = (option.help or "").partition("[default: ")
    before = ", ".join(f"`{old}`" for old in option.old) if isinstance(option, Renamed) else ""
    notes = [f"Before: {before}."] if before else ["An old spelling."] if option.hidden else []
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names, _value(option), _default(option, told), " ".join([meaning.strip(), *notes])


def _value(option: click.Option) -> str:
    kind = option.type
    if option.is_flag:
        return ""
    if option.metavar is not None:
        return f"`{option.metavar}`"
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange):
        most = f" to {kind.max:,}" if kind.max is not None else " or more"
        return f"whole number, {kind.min}{most}"
    names = {"integer": "whole number", "float": "number", "N|all": "whole number, `all`"}
    return names.get(kind.name, kind.name)


def _default(option: click.Option, told: str) -> str:
    if told:
        return told.rstrip("]")
    if option.required:
        return "required"
    if option.secondary_opts:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    return f"`{option.default}`" if option.show_default and option.default != "" else ""


if __name__ == "__main__":
    click.echo(manual(), nl=False)
