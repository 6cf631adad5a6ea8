"""The command that checks a bundle."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from core.cli.command import command
from core.cli.options import dense_model_option, print_json, pythons_option, refuse_idle


@command(
    "secateur verify out/small  # or out/small.zip",
    "secateur verify out/mine --model my_workload.py  # the file that a bundle names by itself is not run",
    keeps=False,
)
@click.argument("bundle", type=click.Path(path_type=Path))
@dense_model_option
@click.option(
    "--run/--no-run",
    "formats",
    default=True,
    show_default=True,
    help="Also let a fresh process read and run each format, and compare.",
)
@pythons_option
def verify(bundle: Path, model: str | None, formats: bool, pythons: tuple[tuple[str, str], ...], as_json: bool) -> None:
    """Check BUNDLE, a folder or its zip: every hash, every tensor, every format, and the metric measured again."""
    from core.delivery.bundle_words import formats_checked_text, measured_again_text, not_checked_lines
    from core.delivery.bundles.verify import verify_bundle
    from core.delivery.manifest import read_manifest

    if not formats:
        refuse_idle("--no-run lets no engine read its file", "pythons")
    if bundle.suffix != ".zip":
        read_manifest(bundle)
    with redirect_stdout(sys.stderr):  # a model may print in its forward pass
        checked = verify_bundle(bundle, model, formats, pythons=dict(pythons))
    if as_json:
        print_json(checked)
        return
    click.echo(
        f"{bundle} is what was exported: {checked['tensors']} tensors and every hash match, "
        f"and it measures {measured_again_text(checked)}, as its manifest says."
    )
    if checked["formats"] is not None:
        click.echo(f"Read by a fresh process each: {formats_checked_text(checked['formats'])}.")
    for line in not_checked_lines(checked):
        click.echo(f"{line}.")
    if checked.get("certificate"):
        click.echo(f"The plan is {checked['certificate']}; measured again.")
