"""Certificates in words, the same for terminal, dashboard and card. No torch."""

from collections.abc import Iterator

from core import numbers
from core.certificates.certificate import Certificate
from core.workload.scale import Scale


def worse_text(scale: Scale, drop: float) -> str:
    """`at most 0.83 points worse` without the first two words; rounded up, so that what is written holds."""
    step = 10.0**-2 if scale.unit == "fraction" else 10.0**-4
    shown = drop * scale.factor
    up = -((-shown) // step) * step
    unit = numbers.drop_unit(scale)
    return f"{up:.{2 if scale.unit == 'fraction' else 4}f} {unit} worse"


def certificate_line(certificate: Certificate) -> str:
    """`certified: at most 0.83 points worse, with a confidence of 95 %, on 800 of 2,000 examples …`."""
    scale = certificate.scale
    than = " than the dense model that it was made from" if certificate.teacher else ""
    seen = f"{certificate.n:,} of {certificate.n_held:,} examples that nothing was chosen by"
    sure = f"with a confidence of {100 * certificate.confidence:.4g} %"
    if certificate.state == "certified":
        return f"certified: at most {worse_text(scale, certificate.bound)}{than}, {sure}, on {seen}"
    drop = numbers.drop_text(scale, certificate.drop)
    if certificate.state == "exceeded":
        floor = numbers.drop_text(scale, certificate.floor)
        return f"not certified: the drop is {floor} at least, {sure}; {drop} on {seen}"
    if certificate.more is None:
        return f"not certified: more examples like these would not do it; the drop is {drop} on {seen}"
    return (
        f"not certified: needs about {certificate.more:,} more examples; at most "
        f"{worse_text(scale, certificate.bound)}, {drop} on {seen}"
    )


def certified_text(certificate: Certificate) -> str:
    """`The plan is certified: …`, or the model where that was trained."""
    return f"The {'model' if certificate.teacher else 'plan'} is {certificate_line(certificate)}."


def certificate_notes(certificate: Certificate) -> Iterator[str]:
    """How to read it."""
    within = numbers.limit_text(certificate.scale, certificate.within)
    yield f"Asked: is it within {within}? The bound holds at every number of examples at once: stopping early is fair."
    if certificate.number > 1:
        yield (
            f"It is plan number {certificate.number} that was looked at on these examples, so it is judged more "
            f"strictly: by 6 / (π · {certificate.number})² of the chance to be wrong."
        )
