"""Options that several commands share, the kinds of values that they take, and how a document is printed."""

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from core.cli.command import Renamed
from core.errors import SecateurError
from core.plans.repairs import REPAIRS

F = TypeVar("F", bound=Callable[..., Any])


def print_json(document: Any) -> None:
    """The one document of a command called with `--json`."""
    click.echo(json.dumps(document, indent=2))


def typed(*names: str) -> list[str]:
    """Spellings of those options that somebody typed; `names` as the command's function calls them."""
    context = click.get_current_context()
    spelled = {param.name: param.opts[0] for param in context.command.params}
    return [spelled[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def refuse_idle(why: str, *names: str) -> None:
    """Refuse options that somebody typed and of which nothing would come, beside what else was asked for.

    Args:
        why: ends the message: what stands against it, and what to give instead.
        names: as the command's function calls them.
    """
    if idle := typed(*names):
        raise SecateurError(f"{idle[0]} would have no effect: {why}")


def check_pythons(pythons: Iterable[tuple[str, str]], used: Iterable[str], option: str) -> None:
    """Refuse an interpreter for an engine that is not used; `option` is where engines are named."""
    used = tuple(used)
    if others := [name for name, _ in pythons if name not in used]:
        raise SecateurError(
            f"--python names {others[0]}, and {option} does not: give {option} {others[0]} too, or leave it out"
        )


class SamplesType(click.ParamType[Any]):
    """A whole number of at least 2, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value in (None, "all") or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a whole number of examples or 'all', got {value!r}", param, ctx)


class FractionType(click.ParamType[Any]):
    """A number; one with a percent sign is told what to do."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"expected a fraction such as 0.5, got {value!r}; given a percentage? divide by 100", param, ctx)


class BytesType(click.ParamType[Any]):
    """A size in bytes: `24MB` in powers of 1000, `24MiB` of 1024, `500000` as it is."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([kKMGT]?)(i?)B?", str(value).strip())
        n = 0
        if found is not None:
            n = int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2].upper() or " "))
        if n < 1:
            self.fail(f"expected a size such as 24MB, 24MiB or 500000, got {value!r}", param, ctx)
        return n


class AlignType(click.ParamType[Any]):
    """A whole number, or `auto`: where the steps end that were measured."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value == "auto":
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a whole number such as 8, or auto; got {value!r}", param, ctx)


class ListType(click.ParamType[Any]):
    """Values separated by commas or spaces, as a tuple.

    Attributes:
        of: what reads one value, and raises ValueError where it cannot.
        example: what is told to somebody whose values cannot be read.
        may_be_empty: whether no value is a value.
    """

    name = "list"

    def __init__(self, of: Callable[[str], Any], example: str, may_be_empty: bool = False) -> None:
        self.of, self.example, self.may_be_empty = of, example, may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Click's hook."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(self.of(word) for word in value.replace(",", " ").split())
        except ValueError:
            found = None
        if found is None or not (found or self.may_be_empty):
            self.fail(f"expected values such as {self.example}, got {value!r}", param, ctx)
        return found


def repair_option(text: str) -> Callable[[F], F]:
    """`--repair NAME`."""
    return click.option(
        "--repair",
        type=click.Choice(list(REPAIRS)),
        default=None,
        help=f"{text}, with calibration data and without training.  [default: no repair]",
    )


def samples_option(default: str | None, text: str) -> Callable[[F], F]:
    """`--samples N|all`."""
    usual = "what the workload says" if default is None else default
    return click.option(
        "--samples", type=SamplesType(), default=default, help=f"Evaluation examples {text}.  [default: {usual}]"
    )


def form_option(what: str) -> Callable[[F], F]:
    """`--form masked|shrunk`; `what` says what the two mean here."""
    return click.option(
        "--form", type=click.Choice(["masked", "shrunk"]), default="masked", show_default=True, help=what
    )


def confidence_option(what: str) -> Callable[[F], F]:
    """`--confidence PERCENT`, of which `what` says of what."""
    return click.option("--confidence", type=float, metavar="PERCENT", default=95.0, show_default=True, help=f"{what}.")


def share_of(confidence: float) -> float:
    """Of percent as typed, for what is told apart; raises `SecateurError` below 50 and from 100 on."""
    if not 50 <= confidence < 100:
        raise SecateurError(f"confidence must lie from 50 to below 100 percent, got {confidence:.4g}")
    return confidence / 100


def layers_option(heads: bool = True) -> Callable[[F], F]:
    """`--layers REGEX`."""
    text = "Only targets whose name matches"
    text += "; a head is ATTENTION:NUMBER, so : alone takes the heads." if heads else "."
    return click.option("--layers", default="", metavar="REGEX", help=text)


def effort_options(what: str, replay: bool | None = True) -> Callable[[F], F]:
    """`--seed`, `--replay`, `--at-once` and `--memory` of commands that measure many of `what`."""
    usual = "  [default: where it saves time]" if replay is None else ""
    options = (
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Of the order in which examples are drawn."
        ),
        click.option(
            "--replay/--no-replay",
            default=replay,
            show_default=replay is not None,
            help=f"Compute of a {what} only what it changes; same bits.{usual}",
        ),
        click.option(
            "--at-once",
            "threads",
            cls=Renamed,
            old=("--threads",),
            type=click.IntRange(1),
            metavar="N",
            help=f"{what.capitalize()}s measured at a time, each in a thread.  [default: one per core]",
        ),
        click.option(
            "--memory",
            type=float,
            metavar="GB",
            help="Dense values and rankings kept at most; the model, one batch and what is being cut come on top.  "
            "[default: a quarter of what is free]",
        ),
    )

    def add(function: F) -> F:
        for option in reversed(options):  # the first is listed first
            function = option(function)
        return function

    return add


def _environment(text: str) -> tuple[str, str]:
    name, is_there, path = text.partition("=")
    if not (name and is_there and path):
        raise ValueError
    return name, path


pythons_option = click.option(
    "--python",
    "pythons",
    type=ListType(_environment, "litert=/opt/litert/bin/python"),
    default=(),
    metavar="NAME=PATH,…",
    help="Interpreters of engines that have an environment of their own.",
)
shard_option = click.option(
    "--shard",
    metavar="K/N",
    help="Measure the K-th of N parts alone, as another machine does the others; merge the workspaces, then leave it "
    "out. auto reads K and N from a Slurm array or SECATEUR_SHARD, auto/N from a Job of Kubernetes.",
)
ray_option = click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Measure on actors of Ray: HOST:PORT of a cluster, auto for the one that this machine belongs to; without an "
    "address on this machine, one actor per core or as many as --at-once.",
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where the model runs, e.g. cpu or cuda."
)
detach_option = click.option("--detach", is_flag=True, help="Start it and return at once.")
last_option = click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N.")
log_option = click.option(
    "--log",
    type=click.Choice(["trackio", "wandb", "mlflow", "tensorboard"]),
    help="Also tell this experiment tracker, on this machine alone, what is measured.",
)


def asked_shard(text: str | None) -> str | None:
    """A shard as a request has it; `auto` is asked of this process's environment.

    Raises:
        SecateurError: it is none, or the environment says none.
    """
    if text is None:
        return None
    from core.sensitivity.search.shard import shard_here

    return str(shard_here(text, os.environ))


def check_log(log: str | None, detach: bool) -> None:
    """Refuse a tracker that is not installed, or that nobody would tell.

    Raises:
        SecateurError: see above.
    """
    if log is None:
        return
    from core.tracking.registry import check_installed

    if detach:
        raise SecateurError("--log is told by the command that follows the run: leave --detach out")
    check_installed(log)


CRITERION_HELP = "How what goes is chosen; `secateur criteria` lists the ways."
criterion_option = click.option("--criterion", default="magnitude", show_default=True, help=CRITERION_HELP)
ALIGN_HELP = "The channels that stay are a multiple of this, e.g. 8"
align_option = click.option("--align", type=AlignType(), default=1, show_default=True, help=f"{ALIGN_HELP}.")
SPREAD_HELP = "How the cut is spread over the layers: global, uniform, erk or lamp"
dense_model_option = click.option(
    "--model", help="The model that the bundle was made of, if it is a workload file, or elsewhere on this machine."
)
