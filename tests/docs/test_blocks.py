"""Blocks of the manual: those that are marked are run, and every `secateur …` names a command with its options."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from core.cli import group
from tests.docs.pages import ALL, MADE, PAGES, ROOT, blocks_of, prose_of, text_of

SHELL = {"sh", "bash", "console", ""}
SEPARATORS = {"&&", "||", "|", ";", ">", ">>", "<", "&"}
RUN = [page for page in PAGES if any(block.runs for block in blocks_of(text_of(page)))]


def commands_of(shell):
    """Words of each `secateur …` in shell text; comments are none."""
    for line in shell.replace("\\\n", " ").split("\n"):
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # a quote that stays open: a here-document, say
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word in SEPARATORS:
                if command[:1] == ["secateur"]:
                    yield command[1:]
                command = []
            else:
                command.append(word)


def parsed(words, whole=True):
    """Have click take the words apart; with `whole` no argument may be missing or too many.

    Raises:
        click.UsageError: an unknown command or option, or a value of another type.
    """
    ctx = click.Context(group, info_name="secateur")
    name, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else ("dashboard", words)
    command = group.get_command(ctx, name)
    if command is None:
        raise click.UsageError(f"no command {name!r}")
    ctx = click.Context(command, parent=ctx, info_name=name, help_option_names=["--help", "-h"])
    given, left, _ = command.make_parser(ctx).parse_args(list(rest))
    for param in command.params:
        value = given.get(param.name)
        is_given = isinstance(value, str | tuple | list)  # else it is a flag, or one of click's marks for nothing
        if is_given and isinstance(param, click.Option) and not isinstance(param.type, click.Path):
            param.type_cast_value(ctx, value)
        if whole and param.required and not (is_given and value):
            raise click.UsageError(f"{name}: {param.name} is missing")
    if whole and left:
        raise click.UsageError(f"{name}: {left} too many")


def test_what_does_not_parse_is_seen():
    parsed(["sweep", "m", "--sparsities", "0.5"])
    parsed([])
    for wrong in ("swep m", "sweep m --sparsity 0.5", "sweep", "sweep m n", "sweep m --seed x", "sweep m --mode fast"):
        with pytest.raises(click.UsageError):
            parsed(wrong.split())


def test_commands_are_found_between_other_words():
    text = (
        "secateur plan m --uniform 0.5 > p.json && secateur apply m p.json  # secateur no\npython x.py; secateur \\\n a"
    )
    assert list(commands_of(text)) == [["plan", "m", "--uniform", "0.5"], ["apply", "m", "p.json"], ["a"]]
    assert list(commands_of("secateur sweep m --layers 'a\\.[01]|b' | head")) == [
        ["sweep", "m", "--layers", r"a\.[01]|b"]
    ]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_of_a_block_exists(page):
    for block in blocks_of(text_of(page)):
        for words in commands_of(block.text) if block.language in SHELL else ():
            if "…" not in "".join(words):
                parsed(words)


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_within_a_sentence_exists(page):
    for code in re.findall(r"`(secateur [^`]+)`", prose_of(text_of(page))):
        for words in commands_of(" ".join(code.split())):
            if "…" not in "".join(words):
                parsed(words, whole=False)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in MADE], ids=lambda page: page.name)
def test_a_page_with_commands_runs_some(page):
    blocks = blocks_of(text_of(page))
    if any(list(commands_of(block.text)) for block in blocks if block.language in SHELL):
        assert any(block.runs for block in blocks)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_blocks_that_are_marked_run(page, tmp_path):
    """In their order, in one empty folder, each as whoever copies it would."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SECATEUR_WORKSPACE": str(tmp_path / ".secateur"),
        "OMP_NUM_THREADS": "1",
    }
    shells = {"sh": ["bash", "-e", "-o", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    for block in blocks_of(text_of(page)):
        if block.runs:
            command = [*shells[block.language], block.text]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
