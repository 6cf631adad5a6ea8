"""The certificate of a bundle, measured again: the same plan on the same examples that nothing was chosen by."""

from collections.abc import Callable, Mapping
from typing import Any

from core.certificates.certificate import Certificate
from core.certificates.certifying import Asked, certify, measured_for
from core.delivery.bundles.figures import CLOSE
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.workload.workload import Workload


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
        SecateurError: the examples, the model or the plan are others, or it does not say what is measured.
    """
    said = Certificate.from_json(written)
    with measured_for(workload, check) as measurement:
        now = certify(measurement, plan, Asked(said.within, said.confidence, said.number), until=said.n)
    if now.examples != said.examples:
        raise SecateurError(
            f"the examples that {workload.name} sets aside are not those that the certificate was made on; put the "
            "data back, or export the bundle again"
        )
    differ = [name for name in ("scale", "plan", "model", "n_held", "n", "state") if _of(now, name) != _of(said, name)]
    differ += [name for name in ("drop", "bound", "floor") if abs(_of(now, name) - _of(said, name)) > CLOSE]
    if differ:
        name = differ[0]
        raise SecateurError(
            f"the certificate does not say what is measured now: its {name} is {_of(now, name)}, not "
            f"{_of(said, name)}; export the bundle again"
        )
    return said


def _of(certificate: Certificate, name: str) -> Any:
    return getattr(certificate, name)
