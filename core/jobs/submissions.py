"""What is asked of a worker, as plain values: workload and request, as `RunStore.submit` takes them. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.certificates.certificate import check_asked
from core.delivery.formats.facts import checked_formats
from core.plans.plan import SparsityPlan
from core.profiling.frontier.request import FrontierRequest
from core.profiling.pays.request import PaysRequest
from core.profiling.request import ProfileRequest
from core.profiling.stairs.request import StairsRequest
from core.quantization.request import QuantizationRequest
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.request import Samples, SweepRequest, check_samples
from core.tuning.request import AnchorsRequest, MinimiseRequest, RefineRequest
from core.workload.loading import canonical_ref

Request = (
    SweepRequest | PairsRequest | AnchorsRequest | MinimiseRequest | RefineRequest | QuantizationRequest | UndoRequest
)
_LATER = (("batch", 1), ("length", None), ("engine", None), ("align", None), ("costs", ()), ("size", None))
IN_MEMORY = "memory:"  # of a workload made in a script: no reference, so that nothing is taken for it


def sweep_submission(request: Request) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of what names its workload itself, as `RunStore.submit` takes them."""
    ref = canonical_ref(request.workload)
    fields = {**asdict(request), "workload": ref}
    for name in ("shard", "ray"):
        if fields.get(name, "") is None:  # what is asked for without one is the same as before there were any
            del fields[name]
    if isinstance(request, MinimiseRequest | RefineRequest | UndoRequest):  # older ones, without these, are the same
        fields = {name: value for name, value in fields.items() if (name, value) not in _LATER}
    return ref, fields


def plan_submission(
    workload: str,
    plan: SparsityPlan,
    samples: Samples = "all",
    device: str = "cpu",
    out: Path | None = None,
    form: str | None = None,
    formats: Sequence[str] | None = None,
    opset: int | None = None,
    skip_refused: bool = False,
    batch_only: bool = False,
    skip: int = 0,
    pythons: Sequence[tuple[str, str]] = (),
) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of measuring or exporting a plan.

    `out` is where an export goes, `form` what it holds; `formats`, `opset`, `skip_refused`, `batch_only` and `pythons`
    are as of `write_bundle`, `skip` the examples of the order that were left out, so that it is judged on others than
    it was chosen by. A request to measure has a form only if that is `"shrunk"`: older ones had none, and masked plans
    are to be the same request. So too formats that nobody chose.
    """
    check_samples(samples)
    ref = canonical_ref(workload)
    request = {
        "plan": plan.to_document(),
        "samples": samples,
        "device": device,
        "out": str(out.resolve()) if out else None,
        **({"form": form} if form else {}),
        **({"formats": list(checked_formats(formats, opset))} if formats is not None else {}),
        **({"opset": opset} if opset is not None else {}),
        **({"skip_refused": True} if skip_refused else {}),
        **({"batch_only": True} if batch_only else {}),
        **({"skip": skip} if skip else {}),
        **({"pythons": [list(one) for one in pythons]} if pythons else {}),
    }
    return ref, request


def certify_submission(
    workload: str, plan: SparsityPlan, within: float, confidence: float, device: str = "cpu"
) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of a certificate.

    Raises:
        SecateurError: the drop or the confidence is out of its range.
    """
    check_asked(within, confidence)
    request = {"plan": plan.to_document(), "within": within, "confidence": confidence, "device": device}
    return canonical_ref(workload), request


def profile_submission(
    workload: str, plan: SparsityPlan | None = None, request: ProfileRequest | None = None
) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of a profile of the dense model, and of what a plan makes of it."""
    document = plan.to_document() if plan is not None else None
    return canonical_ref(workload), {"plan": document, "profile": asdict(request or ProfileRequest())}


def pays_submission(
    workload: str, plan: SparsityPlan, request: PaysRequest | None = None
) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of a comparison of engines."""
    return canonical_ref(workload), {"plan": plan.to_document(), "pays": asdict(request or PaysRequest())}


def frontier_submission(workload: str, request: FrontierRequest) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of a frontier."""
    fields = asdict(request)
    if request.align is None and request.steps == 1:  # older ones, without it, are the same
        del fields["align"]
    return canonical_ref(workload), {"frontier": fields}


def stairs_submission(workload: str, request: StairsRequest | None = None) -> tuple[str, Mapping[str, Any]]:
    """Workload and request of milliseconds against width."""
    return canonical_ref(workload), {"stairs": asdict(request or StairsRequest())}
