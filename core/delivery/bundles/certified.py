"""The certificate of a bundle, measured again: the same plan on the same examples that nothing was chosen by."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from core import numbers
from core.certificates.certificate import Certificate
from core.certificates.certifying import Asked, certify, measured_for
from core.certificates.trained import check_trained
from core.delivery.bundles.figures import CLOSE
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import measured_model, paired_drop
from core.workload.workload import Workload

DROPS = ("drop", "bound", "floor")


def check_certificate(
    written: Mapping[str, Any], workload: Workload, plan: SparsityPlan, check: Callable[[], None]
) -> Certificate:
    """Compare a certificate with what its examples say now.

    Which number the plan was cannot be seen from them: it is taken from the manifest.

    Args:
        written: in the manifest, with the types of a `Certificate`.
        workload: with the dense model.
        plan: of the bundle.
        check: called now and then; raises to stop.

    Raises:
        SecateurError: the examples, the model or the plan are others, it was trained on who knows what, or the
            certificate does not say what is measured.
    """
    said = Certificate.from_json(written)
    if workload.teacher is not None:
        check_trained(workload)
    with measured_for(workload, check) as measurement:
        now = certify(measurement, plan, Asked(said.within, said.confidence, said.number), until=said.n)
    if now.examples != said.examples:
        raise SecateurError(
            f"the examples that {workload.name} sets aside are not those that the certificate was made on; put the "
            "data back, or export the bundle again"
        )
    differ = [
        name
        for name in ("scale", "plan", "model", "teacher", "n_held", "n", "state")
        if _of(now, name) != _of(said, name)
    ]
    differ += [name for name in DROPS if abs(_of(now, name) - _of(said, name)) > CLOSE]
    if differ:
        name = differ[0]
        raise SecateurError(
            f"the certificate does not say what is measured now: its {name} is {_text(now, name)}, not "
            f"{_text(said, name)}; export the bundle again"
        )
    return said


def check_choice(written: Mapping[str, Any] | None, workload: Workload, check: Callable[[], None]) -> None:
    """Measure again what the best round of a recovery costs on examples that it was not chosen by.

    Args:
        written: in the manifest; `None` if its model was not chosen so.
        workload: with the model of the round, and the dense one as its teacher.
        check: called now and then; raises to stop.

    Raises:
        SecateurError: it is something else.
    """
    if written is None or not written["unseen"] or written["judged"] is None:
        return
    with Measurement(workload, None, written["judged"]["n"], check=check, skip=written["skip"]) as measurement:
        scale, dense = workload.metric.scale, copy.deepcopy(workload.dense_model).eval()
        before = measured_model(measurement, dense, dense)
        drop = paired_drop(measurement, before, measured_model(measurement, workload.model, dense))
    values = {name: written["judged"][name] for name in ("value", "low", "high")}
    if drop is None or any(abs(getattr(drop, name) - value) > CLOSE for name, value in values.items()):
        raise SecateurError(
            "what the manifest says of the round on examples that it was not chosen by is not what is measured now: "
            f"{'no number' if drop is None else numbers.exact_text(scale, drop.value, True)}, not "
            f"{numbers.exact_text(scale, values['value'], True)}; export the bundle again"
        )


def _text(certificate: Certificate, name: str) -> str:
    value = _of(certificate, name)
    return numbers.exact_text(certificate.scale, value, True) if name in DROPS else str(value)


def _of(certificate: Certificate, name: str) -> Any:
    return getattr(certificate, name)
