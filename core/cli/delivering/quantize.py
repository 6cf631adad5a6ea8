"""The command that writes a quantized model."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import detach_option, form_option, samples_option
from core.errors import SecateurError
from core.quantization.bits import DEFAULT_BITS, SCHEMES, SUFFIXES, checked_scheme


@command(
    "secateur quantize fashion-vit half.json --form shrunk --out small-int8.safetensors  # packed: no zeros, int8",
    "secateur quantize fashion-vit --scheme static --out vit-int8.onnx",
)
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write; must not exist.")
@click.option(
    "--scheme",
    type=click.Choice(list(SCHEMES)),
    default="weight",
    show_default=True,
    help="; ".join(f"{name}: {what}" for name, what in SCHEMES.items()) + ".",
)
@click.option("--bits", type=int, default=DEFAULT_BITS, show_default=True, help="Of the weights, 2 to 8.")
@form_option("Of the model that is quantized. masked: zeros in place. shrunk: what was cut is gone.")
@samples_option("all", "to measure on")
@detach_option
def quantize(
    model: str,
    plan: Path | None,
    out: Path,
    scheme: str,
    bits: int,
    form: str,
    samples: object,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Cut MODEL by the file PLAN (without one it stays dense), quantize it and write the file OUT.

    The bytes of the dense, the pruned and the written model are told, and what each measures; the written one as it was
    read back.
    """
    from core.jobs.launch import start_quantize
    from core.plans.plan import SparsityPlan

    checked_scheme(scheme, bits)
    if out.exists():
        raise SecateurError(f"{out} exists already; choose another place, or remove it first")
    if out.suffix != SUFFIXES[scheme]:
        raise SecateurError(f"scheme {scheme} writes a {SUFFIXES[scheme]} file, got {out.name}; name it so")
    chosen = SparsityPlan.read(plan) if plan else SparsityPlan()
    store = open_store(workspace)
    check_own(store, model, chosen)
    run = start_quantize(store, model, chosen, out, scheme, bits, samples, form)  # type: ignore[arg-type]
    follow(store, *run, detach, as_json)
