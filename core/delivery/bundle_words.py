"""Bundles in words: what a manifest says of a smaller model, of its formats, of a check. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.certificates.certificate import Certificate
from core.certificates.certificate_words import certified_text
from core.delivery.formats.facts import FORMATS
from core.numbers import apart_text, bytes_text, metric_text, metric_with_interval, share_text
from core.plans.costs import steps
from core.sensitivity.report import Estimate
from core.workload.scale import Scale


def shrunk_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What a bundle's manifest says of a shrunk model; nothing for a masked one."""
    shrunk = manifest.get("shrunk")
    if not shrunk:
        return []
    scale = Scale.from_json(dict(manifest["measured"]["metric"]))
    kept, dense = shrunk["parameters"], shrunk["dense_parameters"]
    lines = [f"shrunk   {kept:,} of {dense:,} parameters stay ({share_text(kept / dense)})"]
    if shrunk["metric"]:
        lines.append(f"measures {metric_with_interval(scale, Estimate(**shrunk['metric']))}")
    far = shrunk["difference"]
    lines.append(
        f"equals the masked model: outputs at most {far['largest']:.1g} apart (relative), "
        f"{shrunk['other_scores']:,} of {far['n']:,} examples score otherwise"
    )
    lines += [f"note: {note}" for note in shrunk.get("notes", ())]
    if manifest.get("no_onnx"):  # of a bundle of version 1
        lines.append(f"no ONNX file: {manifest['no_onnx']}")
    return lines


def refused_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each format that a bundle was to have and that cannot hold the model, with the reason."""
    return [f"no {FORMATS[name].path}: {why}" for name, why in manifest.get("refused", {}).items()]


def weightless_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What to know of channels that have no weight but a bias, before other tools quantize the model; else nothing."""
    found = manifest.get("weightless") or {}
    if not found:
        return []
    n = sum(found.values())
    names = [f"{name} {count}" for name, count in list(found.items())[:3]]
    where = ", ".join(names) + (f" and {len(found) - 3} more layers" if len(found) > 3 else "")
    mend = (
        "their constant belongs into the biases of what reads them"
        if manifest.get("form") == "shrunk"
        else "cut them as channels too, which drops the constant, and export --form shrunk, or move the constant into "
        "the biases of what reads them"
    )
    return [
        f"{n} channel{'s' if n > 1 else ''} ha{'ve' if n > 1 else 's'} no weight but a bias ({where}): static int8 of "
        f"other tools loses or breaks that bias; {mend}. Secateur's own files keep it"
    ]


def off_blocks_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A warning where widths of a smaller model leave the fast path of engines that work in blocks of channels."""
    found = manifest.get("off_blocks") or {}
    return steps.off_blocks_lines({name: (left, n) for name, (left, n) in found.items()})


def shape_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each program of a bundle: which sizes its inputs may have; none of older bundles, that do not say."""
    return [
        f"{FORMATS[name].path} takes inputs of {', '.join(_shape_text(shape) for shape in made['inputs'])}"
        f"{'; numbers are fixed' if any(size for shape in made['inputs'] for size in shape) else ''}"
        for name, made in manifest.get("formats", {}).items()
        if made.get("inputs")
    ]


def config_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What the configuration of a Hugging Face folder says otherwise than the dense model's; none of older bundles."""
    return [
        f"{FORMATS[name].path}/config.json says what was cut: "
        + ", ".join(
            f"{number} {_value_text(old)} → {_value_text(new)}" for number, (old, new) in made["config"].items()
        )
        if made["config"]
        else f"{FORMATS[name].path}/config.json has the numbers of the dense model"
        for name, made in manifest.get("formats", {}).items()
        if made.get("config") is not None
    ]


def _value_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{len(value)} entries"
    return "not set" if value is None else f"{value}"


def _shape_text(shape: Sequence[int | None]) -> str:
    """`any number of examples × any size that the model takes × 32`."""
    rest = ["any size that the model takes" if size is None else f"{size}" for size in shape[1:]]
    first = "any number of examples" if shape[:1] in ([None], [], (None,), ()) else f"{shape[0]} example"
    return " × ".join([first, *rest])


def format_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each format of a bundle: its bytes, how far its outputs are from the model's, how it was checked."""
    files = manifest["files"]
    return [
        f"{name:<12}{bytes_text(sum(files[file]['bytes'] for file in made['files'])):>8}  "
        f"{_apart(made['difference'])}: {made['checked']}" + (f"; {made['engine']}" if made.get("engine") else "")
        for name, made in manifest.get("formats", {}).items()
    ]


def formats_checked_text(formats: Mapping[str, float | None]) -> str:
    """`safetensors the same bits, onnx at most 2e-07 apart`."""
    return ", ".join(
        f"{name} {'read back, not run here' if apart is None else apart_text(apart)}" for name, apart in formats.items()
    )


def not_checked_lines(checked: Mapping[str, Any]) -> list[str]:
    """A line for each format that could not be checked, with the reason; of an answer of `verify_bundle`."""
    return [f"{name} was not checked: {why}" for name, why in (checked.get("not_checked") or {}).items()]


def not_run_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each format of a bundle that only another machine can run: never called verified."""
    return [
        f"{FORMATS[name].path} was written, not run here ({made['not_run']}): read back: "
        f"{made['weights']['same_bits']:,} of the model's {made['weights']['of']:,} weights bit for bit, "
        f"{made['weights']['scaled']:,} as a folded batch norm scales them; compare its outputs on a device"
        for name, made in manifest.get("formats", {}).items()
        if made.get("not_run")
    ]


def _apart(difference: float | None) -> str:
    return "not run here" if difference is None else apart_text(difference)


def certificate_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What was certified of the plan of a bundle, in words; nothing of one without a certificate."""
    found = manifest.get("certificate")
    return [certified_text(Certificate.from_json(found))] if found else []


def verified_text(checked: Mapping[str, Any]) -> str:
    """What a bundle that was found whole was checked for, in one line.

    Args:
        checked: as `verify_bundle` gives it, of a run also with `"zip"`: whether that was compared with its seal.
    """
    seal = ", the zip is as it was sealed" if checked.get("zip") else ""
    certified = f"; {checked['certificate']}" if checked.get("certificate") else ""
    ran = f"; read by a fresh process each: {formats_checked_text(checked['formats'])}" if checked["formats"] else ""
    absent = "".join(f"; {line}" for line in not_checked_lines(checked))
    return (
        f"{checked['files']} files and {checked['tensors']} tensors are what was exported{seal}; it measures "
        f"{measured_again_text(checked)}, as its manifest says{ran}{absent}{certified}"
    )


def measured_again_text(checked: Mapping[str, Any]) -> str:
    """`accuracy 12.21 %, n = 10,000`: what a bundle was measured to do when it was checked; see `verified_text`."""
    if "scale" not in checked:  # of a check that an older build made
        return f"{checked['metric']:.6g}, n = {checked['n']:,}"
    scale = Scale.from_json(dict(checked["scale"]))
    return f"{scale.name} {metric_text(scale, checked['metric'])}, n = {checked['n']:,}"
