"""Options of every command that takes a MODEL: what a reference such as `hf:./folder` needs beside its place.

They become part of the reference, so that whatever is started with it finds the same model and data again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from core.errors import SecateurError
from core.workload.sources.reference import KINDS, OPTIONS, SPELLED, is_reference, spelling, with_options
from core.workload.sources.registry import look

F = TypeVar("F", bound=Callable[..., Any])
FILE_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".h5")
HELP = {
    "data": "Of hf:, st:, timm:, pt2:: what to measure on, as test.csv, photos/ or x.safetensors; of "
    "lightning: package.module:DataModule.",
    "calibration": "Of hf:, st:, timm:, pt2:: data of the same form that a criterion may look at.",
    "training": "Of hf:, st:, timm:, pt2:: data of the same form that recovery may train on.",
    "holdout": "Of hf:, st:, timm:, pt2:: data of the same form that certificates alone are made on.",
    "weights": "Of timm:, lightning:: the weights, in safetensors; --weights FILE says the same.",
    "task": "Of hf:: where the head of the model leaves a choice, e.g. 'sentence embedding'.",
    "columns": "Of hf:, st:: which column is what, where names do not say it, e.g. text=body,label=stars.",
    "metric": "Of a model named by a reference: instead of the usual one, e.g. f1.",
    "length": "Of hf:, st:: tokens of a text at most.  [default: what the model takes, at most 512]",
    "root": "Of py:, lightning:: the folder that the package lies in.  [default: this one]",
}
MODEL_OPTIONS: list[click.Parameter] = [
    click.Option(
        [f"--{SPELLED.get(name, '--' + name).lstrip('-')}", f"from_{name}"], metavar=name.upper(), help=HELP[name]
    )
    for name in OPTIONS
]


def as_typed(args: Sequence[str]) -> list[str]:
    """`--weights w.safetensors` as `--checkpoint w.safetensors`: alone, `--weights` is a switch of sweeps."""
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    for i, word in enumerate(words[:end]):
        name, sign, value = word.partition("=")
        value = value if sign else words[i + 1] if i + 1 < end else ""
        if name == "--weights" and value.lower().endswith(FILE_ENDINGS):
            words[i] = spelling("weights") + sign + (value if sign else "")
    return words


def take_model_options(ctx: click.Context) -> None:
    """Put what was given beside the model into its reference, and take it out of what the command is called with.

    Raises:
        SecateurError: there is no model that takes it, or several.
    """
    given = {name: ctx.params.pop(f"from_{name}", None) for name in OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    several = ctx.params.get("models")
    if several is not None:
        references = [model for model in several if is_reference(model)]
        if given and len(references) != 1:
            kinds = ", ".join(f"{kind}:" for kind in KINDS)
            raise SecateurError(f"{spelling(next(iter(given)))} belongs to one model that is named by {kinds}")
        ctx.params["models"] = tuple(with_options(m, given if m in references else {}) for m in several)
    elif ctx.params.get("model") is not None:
        ctx.params["model"] = model = with_options(ctx.params["model"], given)
        starts = "detach" in ctx.params or ctx.command.name == "targets"
        if starts and is_reference(model):  # before long work: what was taken for what
            for line in look(model):
                click.echo(f"secateur: {line}", err=True)
    elif given:
        raise SecateurError(f"{spelling(next(iter(given)))} belongs to a model; name it, too")


def from_options(function: F) -> F:
    """The same options for a command that takes the model as `--from`."""
    function.__click_params__ = [*getattr(function, "__click_params__", ()), *reversed(MODEL_OPTIONS)]  # type: ignore[attr-defined]
    return function


def with_from(reference: str | None, given: Mapping[str, str | None]) -> str | None:
    """The reference of `--from` with the options beside it; `None` where there is none.

    Raises:
        SecateurError: there are options and no reference, or it is none.
    """
    options = {name.removeprefix("from_"): value for name, value in given.items() if value is not None}
    if reference is None:
        if options:
            raise SecateurError(f"{spelling(next(iter(options)))} belongs to a model; name it: --from hf:./folder")
        return None
    if not is_reference(reference):
        raise SecateurError(f"--from expects a reference such as hf:./folder, got {reference!r}")
    return with_options(reference, options)
