"""From a reference to what it stands for. Its module is imported when it is named, and no other."""

import importlib
from pathlib import Path
from typing import Any

from core.workload.programs.data import OTHERS, check_file, program_lines
from core.workload.sources.folder import file_shapes
from core.workload.sources.media import PICTURES, by_class
from core.workload.sources.reference import KINDS, Reference, canonical, parsed


def look(ref: str) -> tuple[str, ...]:
    """What is inferred of a reference, as lines `name: what was taken`; checks what can be checked without torch.

    Raises:
        SecateurError: what it names is missing, damaged, unsafe, or does not fit.
    """
    reference = parsed(canonical(ref))
    if KINDS[reference.kind].module == "hf":
        from core.workload.sources.tasks import infer

        return infer(reference).lines
    if reference.kind == "timm":
        file_shapes(Path(reference.options["weights"]))
        table = by_class(Path(reference.options["data"]), PICTURES, "pictures")
        classes = dict.fromkeys(table.columns["label"])
        numbered = ", ".join(f"{i} = {name}" for i, name in enumerate(classes))
        return (
            f"model: {reference.place} of timm, for {len(classes)} classes",
            f"data: {table.n:,} pictures of {table.path.name}",
            f"labels: folders in the order of their names ({numbered:.200})",
            "metric: accuracy",
        )
    if reference.kind == "pt2":
        return program_lines(Path(reference.place), reference.options, _shapes_of_data(reference))
    if "weights" in reference.options:
        file_shapes(Path(reference.options["weights"]))
    return ()


def build(ref: str) -> Any:
    """The `Workload` that a reference stands for. Imports torch.

    Raises:
        SecateurError: as `look`, or what it names cannot be loaded.
    """
    reference = parsed(canonical(ref))
    if reference.kind == "pt2":
        programs = importlib.import_module("core.workload.programs.built")
        return programs.build(reference.place, reference.options, _shapes_of_data(reference))
    module = importlib.import_module(f"core.workload.sources.{KINDS[reference.kind].module}")
    return module.build(reference)


def _shapes_of_data(reference: Reference) -> dict[str, dict[str, tuple[int, ...]]]:
    """By option, of the tensors in each file of data beside a program."""
    found = {}
    for role in ("data", *OTHERS):
        if role in reference.options:
            path = Path(reference.options[role])
            check_file(path, f"--{role}")
            found[role], _ = file_shapes(path)
    return found
