"""`secateur`: a thin face over the functions that the dashboard calls too.

Command modules are imported when their command is called, and torch only where a model is really loaded, so that
`secateur --help` answers at once.
"""

import difflib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from core.cli.failure import Failure, Interrupted, hear_no_more, signals_as_before, terminated_as_interrupted
from core.errors import SecateurError, told

LEFT_OUT = "core.jobs.known.left_out"  # a command that reads no rows need not import it
COMMANDS = {
    "dashboard": ("core.cli.serve", "dashboard", "Open the dashboard in the browser (the default)."),
    "init": ("core.cli.looking.inspect", "init", "Write a commented workload file for a model of your own."),
    "models": ("core.cli.looking.inspect", "models", "List the models that can be named."),
    "targets": ("core.cli.looking.inspect", "targets", "List what of a model can be cut, and what cannot."),
    "graph": (
        "core.cli.looking.graph",
        "graph",
        "Draw the network with what is known of each layer, also for Model Explorer.",
    ),
    "check": ("core.cli.looking.check", "check", "Try a model for some seconds before long work."),
    "criteria": ("core.cli.looking.criteria", "criteria", "List the criteria by which a cut can choose what goes."),
    "sweep": ("core.cli.measuring.sweep", "sweep", "Measure what every cut costs."),
    "pairs": ("core.cli.measuring.pairs", "pairs", "Measure cuts two at a time: do their drops add up?"),
    "bits": (
        "core.cli.measuring.bits",
        "bits",
        "Measure what few-bit weights cost each layer, alone and together with pruning.",
    ),
    "runs": ("core.cli.looking.runs", "runs", "List the runs of the workspace; give them names, stars, notes."),
    "show": ("core.cli.looking.inspect", "show", "Show what a run found."),
    "report": ("core.cli.looking.report", "report", "Write maps, plans and outcomes as one page to be sent."),
    "broken": ("core.cli.looking.slices", "broken", "List the examples that a cut breaks."),
    "compare": (
        "core.cli.looking.compare",
        "compare",
        "Show what cuts cost more, or less, in another sweep: a difference map, or a list.",
    ),
    "stop": ("core.cli.following", "stop", "Stop a run at work; what it measured is kept."),
    "cancel": ("core.cli.following", "cancel", "Take a run that waits out of the queue."),
    "resume": ("core.cli.following", "resume", "Let an interrupted or stopped run go on."),
    "work": ("core.cli.work", "work", "Help the runs of the workspace: measure a part of their cells here."),
    "merge": ("core.cli.merge", "merge", "Take over what was measured in other workspaces."),
    "plan": ("core.cli.tuning.plan", "plan", "Make a plan of one sparsity everywhere, or take a kept one."),
    "plans": ("core.cli.looking.plans", "plans", "List kept plans: predicted beside measured; name them, write notes."),
    "diff": ("core.cli.looking.plans", "diff", "Show what differs between two plans."),
    "allocate": ("core.cli.tuning.allocate", "allocate", "Make a plan by uniform, ERK, global magnitude or LAMP."),
    "predict": ("core.cli.tuning.predict", "predict", "Predict what a plan costs, from what was measured."),
    "anchors": (
        "core.cli.tuning.predict",
        "anchors",
        "Measure a few plans from which predictions learn how cuts interact.",
    ),
    "solve": ("core.cli.tuning.solve", "solve", "Make the plan that meets a goal at the least predicted drop."),
    "minimise": (
        "core.cli.tuning.searches",
        "minimise",
        "Find the cheapest plan whose measured drop is within a tolerance.",
    ),
    "refine": (
        "core.cli.tuning.searches",
        "refine",
        "Solve for a budget, then shift it to where measuring says it hurts less.",
    ),
    "frontier": (
        "core.cli.tuning.frontier",
        "frontier",
        "Measure plans for several budgets on an engine, beside other allocations.",
    ),
    "undo": ("core.cli.tuning.undo", "undo", "Measure what each row of a plan is worth inside it."),
    "tickets": ("core.cli.training.tickets", "tickets", "Look for lottery tickets: train, prune, rewind, train again."),
    "recover": ("core.cli.training.recover", "recover", "Prune in rounds, fine-tune after each with the masks held."),
    "apply": ("core.cli.measuring.apply", "apply", "Measure a plan."),
    "shrink": (
        "core.cli.delivering.export",
        "shrink",
        "Write a smaller model, compared with the masked one, as a verified bundle.",
    ),
    "certify": (
        "core.cli.judging.certify",
        "certify",
        "Show that a plan costs no more than a drop, on examples that nothing was chosen by.",
    ),
    "gate": ("core.cli.judging.gate", "gate", "Say whether a bundle or a checkpoint is worse than a baseline."),
    "profile": ("core.cli.measuring.profile", "profile", "Measure sizes, memory and milliseconds, dense and pruned."),
    "pays": (
        "core.cli.measuring.pays",
        "pays",
        "Compare a plan in the engines that people ship to: where does it pay?",
    ),
    "export": ("core.cli.delivering.export", "export", "Write a pruned model as a verified bundle."),
    "quantize": ("core.cli.delivering.quantize", "quantize", "Write a pruned model quantized, packed and measured."),
    "verify": ("core.cli.delivering.verify", "verify", "Check a bundle: hashes, weights and metric."),
    "reproduce": ("core.cli.delivering.reproduce", "reproduce", "Make the weights of a bundle again, bit for bit."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            if close and not ctx.resilient_parsing:
                raise click.UsageError(f"no command {name!r}; did you mean {close[0]}?", ctx)
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # from the table above: the modules need not be imported for it
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = not args or args[0] in COMMANDS or args[0] in ("--help", "-h", "--version")
        # `secateur --port 8600` is `secateur dashboard --port 8600`
        return super().parse_args(
            ctx, ["dashboard", *args] if not args or (not known and args[0].startswith("-")) else args
        )

    def main(self, *args: Any, **options: Any) -> Any:
        with signals_as_before():
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            _forget_left_out()  # what another command of this process, or a program around it, left out is not ours
            try:
                with terminated_as_interrupted():
                    return super().invoke(ctx)
            finally:
                _tell_left_out()
        except (SecateurError, click.UsageError) as error:
            text = str(error)
            if isinstance(error, click.UsageError):
                used = error.ctx.command_path if error.ctx else "secateur"
                text = f"{error.format_message().rstrip('.')}; see `{used} --help`"
            raise _failure(ctx, text) from error
        except Interrupted:
            hear_no_more()
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            hear_no_more()
            text = "interrupted; what is under way `secateur runs` lists, and `secateur stop` stops"
            raise _failure(ctx, text, Interrupted) from None
        except BrokenPipeError:  # `secateur show … | head`: nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        except OSError as error:  # names and places that the system refuses, wherever they are used first
            if error.filename is None or os.environ.get("SECATEUR_DEBUG"):
                raise
            text = f"cannot use {error.filename}: {error.strerror}; name another file or folder"
            raise _failure(ctx, text) from error
        except Exception as error:  # a fault of ours: one line for the user, the rest for whoever mends it
            if os.environ.get("SECATEUR_DEBUG"):
                raise
            where = "this is a fault of Secateur, please report it; SECATEUR_DEBUG=1 shows where it happened"
            raise _failure(ctx, f"unexpected {type(error).__name__}: {error}; {where}") from error


def _forget_left_out() -> None:
    if (left_out := sys.modules.get(LEFT_OUT)) is not None:
        left_out.forget()


def _tell_left_out() -> None:
    """One line about rows that a command could not read, beside its answer."""
    left_out = sys.modules.get(LEFT_OUT)
    if left_out is not None and (line := left_out.line()) is not None:
        click.echo(f"secateur: {line}", err=True)
        left_out.forget()


def _failure(ctx: click.Context, text: str, kind: type[Failure] = Failure) -> Failure:
    text = told(text)
    if "--json" in ctx.obj:
        click.echo(json.dumps({"error": text}))
    return kind(text)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(package_name="secateur")
@click.pass_context
def group(ctx: click.Context) -> None:
    """See where a neural network can be cut.

    MODEL is a sample's name (`secateur models`), the path of a workload file (`secateur init`), or says where a model
    lies: hf:./folder --data test.csv.
    `secateur` alone opens the dashboard.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the command; `args` default to the process's."""
    words = list(sys.argv[1:] if args is None else args)
    group(words, prog_name="secateur", obj=words)
