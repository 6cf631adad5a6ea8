"""What all commands have in common: examples, `--workspace`, `--json`, and a word on old spellings."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from core.cli.model_options import MODEL_OPTIONS, as_typed, take_model_options
from core.errors import SecateurError
from core.workspace import DATABASE, DEFAULT_WORKSPACE, Workspace

# how a sweep and `plan` spell what the commands that look for a plan take as one list
KINDS = {"--channels": "channel", "--heads": "head", "--weights": "weight", "--blocks": "block"}


class Renamed(click.Option):
    """An option that was spelled otherwise before; the old spellings mean the same."""

    def __init__(self, *args: Any, old: Sequence[str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.old = tuple(old)


class Command(click.Command):
    """A command of `secateur`.

    Attributes:
        examples: lines to be typed, each with a comment; shown by --help and on the page of all commands.
    """

    def __init__(self, *args: Any, examples: Sequence[str], keeps: bool, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = tuple(examples)
        self.takes_model = any(isinstance(p, click.Argument) and p.name in ("model", "models") for p in self.params)
        self.params += MODEL_OPTIONS if self.takes_model else []
        self.params += [_workspace_option(keeps), _JSON]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's hook: old spellings become new ones, with a word."""
        new = {old: option.opts[0] for option in self.params if isinstance(option, Renamed) for old in option.old}
        end = args.index("--") if "--" in args else len(args)
        for i, word in enumerate(args[:end]):
            name, sign, value = word.partition("=")
            if name in new:
                say(f"{name} is spelled {new[name]} now; the old spelling still works")
                args[i] = new[name] + sign + value
        try:
            return super().parse_args(ctx, as_typed(args) if self.takes_model else args)
        except click.NoSuchOption as error:
            kind = KINDS.get(error.option_name)
            if kind is None or not any("--granularities" in param.opts for param in self.params):
                raise
            asked = error.option_name
            raise click.UsageError(
                f"no option {asked}; what may be cut is told by --granularities {kind} here", ctx
            ) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Click's hook: a model on the command line is one that a person has named, with the options of a reference."""
        if self.takes_model:
            take_model_options(ctx)
        named = (ctx.params.get("model"), *(ctx.params.get("models") or ()))
        workspace = ctx.params.get("workspace")
        if workspace is not None and any(named) and (workspace / DATABASE).is_file():
            from core.jobs.strangers import confirm
            from core.workload.loading import canonical_ref

            with suppress(SecateurError):  # what is wrong with a name or a workspace the command says itself
                for model in filter(None, named):
                    confirm(Workspace(workspace, create=False), canonical_ref(model))
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click's hook."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def command(*examples: str, keeps: bool = True) -> Callable[[Callable[..., None]], Command]:
    """Makes a function a command that also takes `workspace` and `as_json`.

    Args:
        examples: lines to be typed; `# …` behind one says what it does.
        keeps: whether the command reads or writes the workspace; else `--workspace` is taken like everywhere, and the
            function is not told of it.
    """
    return click.command(cls=Command, examples=examples, keeps=keeps)


def say(text: str) -> None:
    """One line on standard error, beside the answer."""
    click.echo(f"secateur: {text}", err=True)


def _workspace_option(keeps: bool) -> click.Option:
    return click.Option(
        ["--workspace"],
        type=click.Path(path_type=Path),
        default=DEFAULT_WORKSPACE,
        envvar="SECATEUR_WORKSPACE",
        show_default=True,
        expose_value=keeps,
        help="Folder that keeps what was measured."
        if keeps
        else "Taken by every command; this one reads and keeps nothing there.",
    )


_JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document and nothing else.")
