"""What writing a bundle goes through, in order and in words, so that a screen can say how far it is. No torch."""

from collections.abc import Iterable

from core.delivery.formats.facts import checked_formats
from core.plans.plan import Form

MEASURE = "measuring the plan"
SHRINK = "shrinking the model and comparing it with the masked one"
WRITE = "writing the bundle"
DESCRIBE = "writing the model card"
RELOAD = "reloading the bundle in a fresh process"
PACK = "packing the zip"


def format_step(name: str) -> str:
    """The step of one format."""
    return f"writing {name} and reading it in a fresh process"


def export_steps(form: Form, formats: Iterable[str]) -> tuple[str, ...]:
    """All steps of an export.

    Args:
        form: of the model.
        formats: names in `FORMATS`; safetensors is always written.
    """
    shrinking = (SHRINK,) if form == "shrunk" else ()
    writing = (format_step(name) for name in checked_formats(formats))
    return (MEASURE, *shrinking, WRITE, *writing, DESCRIBE, RELOAD, PACK)
