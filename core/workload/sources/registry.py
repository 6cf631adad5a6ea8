"""From a reference to what it stands for. Its module is imported when it is named, and no other."""

import importlib
from typing import Any

from core.workload.sources.reference import KINDS, canonical, parsed


def look(ref: str) -> tuple[str, ...]:
    """What is inferred of a reference, as lines `name: what was taken`; checks what can be checked without torch.

    Raises:
        SecateurError: what it names is missing, damaged, unsafe, or does not fit.
    """
    reference = parsed(canonical(ref))
    if KINDS[reference.kind].module == "hf":
        from core.workload.sources.tasks import infer

        return infer(reference).lines
    return ()


def build(ref: str) -> Any:
    """The `Workload` that a reference stands for. Imports torch.

    Raises:
        SecateurError: as `look`, or what it names cannot be loaded.
    """
    reference = parsed(canonical(ref))
    module = importlib.import_module(f"core.workload.sources.{KINDS[reference.kind].module}")
    return module.build(reference)
