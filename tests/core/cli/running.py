"""Running commands as a person does: words in, exit code and text out."""

import json

from click.testing import CliRunner

from core.cli import group


def secateur(*words):
    """What a command did: its exit code, what it printed, what it said on standard error."""
    args = [str(word) for word in words]
    return CliRunner().invoke(group, args, obj=args, prog_name="secateur")


def document_of(*words):
    """The one JSON document that a command prints."""
    done = secateur(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def refused(*words):
    """What a command that must refuse says: exit code 2, one line, no traceback; with --json a document besides."""
    done = secateur(*words)
    assert done.exit_code == 2, done.stdout
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("secateur: ")
    as_json = secateur(*words, "--json")
    assert as_json.exit_code == 2
    assert set(json.loads(as_json.stdout)) == {"error"}
    return line
