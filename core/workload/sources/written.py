"""What a reference means, written down as a workload file to edit. No torch."""

from dataclasses import replace

from core.workload.sources.reference import KINDS, OPTIONS, canonical, parsed
from core.workload.sources.registry import look


def written(ref: str) -> str:
    """A workload file that gives what a reference gives, with all that was inferred spelled out.

    Raises:
        SecateurError: as `look`.
    """
    reference = parsed(canonical(ref))
    lines = look(str(reference))
    options = dict(reference.options)
    if KINDS[reference.kind].module == "hf":
        from core.workload.sources.tasks import infer

        found = infer(reference)
        roles = {role: name for role, name in found.columns.items() if role not in ("file", "mask") and "," not in name}
        if found.kind == "labels" or (found.folder.id2label and found.task.endswith("segmentation")):
            roles = {role: name for role, name in roles.items() if role in ("text", "first", "second")}
        spelled = {"task": found.task, "metric": found.metric}
        if found.length is not None:
            spelled |= {"length": str(found.length)}
            spelled |= {"columns": ",".join(f"{role}={name}" for role, name in roles.items() if role != "choices")}
        options = {**spelled, **options}
    shown = "\n".join(f"    {name!r}: {options[name]!r}," for name in OPTIONS if name in options)
    said = "\n".join(f"#   {line}" for line in lines)
    return f'''"""A workload: the model that `{reference.kind}:` names, its data and its metric.

Secateur calls `workload()` whenever it needs the model, each time in a new process.
"""

from dataclasses import replace

from core import Workload, load_workload
{f"{chr(10)}# What was inferred; change what is not so.{chr(10)}{said}" if said else ""}
PLACE = {str(replace(reference, options={}))!r}
OPTIONS = {{
{shown}
}}


def workload() -> Workload:
    found: Workload = load_workload(PLACE, **OPTIONS)
    return replace(
        found,
        name={reference.short!r},
        # batch_size=64,
        # sweep_examples=1000,  # how many of the evaluation examples a sweep uses; None = all
        # metric=my_metric,  # a core.Metric of your own
        # columns={{"site": site_names}},  # to see who suffers from a cut
    )
'''
