"""The manifest of a bundle: every file with its hash, every format with how it was checked, and a hash of itself."""

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from core.bounded import parse_json, read_text
from core.certificates.certificate import is_sound
from core.certificates.choice import is_sound_choice
from core.delivery.formats.facts import ALWAYS, FORMATS
from core.errors import SecateurError
from core.profiling.pays.report import is_sound_report

WEIGHTS, PLAN, MANIFEST = FORMATS[ALWAYS].path, "plan.json", "manifest.json"
CARD, PAGE = "card.md", "card.html"  # the same for people; version 1 had none
FORMAT, VERSION = "secateur.bundle", 2  # 1 had no formats: safetensors, and ONNX of shrunk models
ENTRIES = {"workload", "dense_model", "dense_state", "measured", "examples", "files"}  # that are read


def sealed(manifest: dict[str, Any]) -> str:
    """The manifest file: indented JSON whose last entry is the hash of all that stands before it."""
    seal = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": seal}, indent=2) + "\n"


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, if it is the one that was written.

    Raises:
        SecateurError: missing, damaged, from a newer version, or changed in any byte.
    """
    path = folder / MANIFEST
    try:
        text = read_text(path, "its manifest")
    except SecateurError as error:
        raise SecateurError(
            f"{folder} is not a bundle: {error}; name the folder that `secateur export` wrote"
        ) from None
    try:
        document = parse_json(text, MANIFEST)
    except SecateurError:
        raise SecateurError(f"{path} is damaged: it is not JSON; export the bundle again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SecateurError(f"{path} is not a Secateur manifest; name the folder that `secateur export` wrote")
    if isinstance(document.get("version"), bool) or document.get("version") not in (1, VERSION):
        raise SecateurError(
            f"{path} is of version {document.get('version')!r}, this Secateur reads {VERSION}; upgrade secateur"
        )
    unsealed = {key: value for key, value in document.items() if key != "sha256"}
    if document.get("form") == "shrunk" and "shrunk" not in unsealed:
        raise SecateurError(f"{path} says that the model was shrunk, and not how; export the bundle again")
    whole = sealed(unsealed) == text and unsealed.keys() >= ENTRIES
    if not whole or not _lists_files(unsealed) or not _has_sound_values(unsealed):
        raise SecateurError(f"{path} was changed after it was written (its hash differs); export the bundle again")
    return document


def _has_sound_values(manifest: dict[str, Any]) -> bool:
    """Whether what is read of it has the types that it is read as: whoever changes it can seal it again."""
    try:
        measured, shrunk = manifest["measured"], manifest.get("shrunk")
        estimates = [measured[name] for name in ("dense", "pruned", "drop")]
        if shrunk is not None:
            estimates += [shrunk["metric"], shrunk["drop"]]
            if not all(isinstance(shrunk[name], int) for name in ("parameters", "dense_parameters", "other_scores")):
                return False
        texts = [manifest[name] for name in ("workload", "dense_model", "dense_state")]
        files = manifest["files"].values()
        return (
            all(isinstance(text, str) for text in (*texts, *(entry["sha256"] for entry in files)))
            and all(_is_whole(n) for n in (manifest["examples"], *(entry["bytes"] for entry in files)))
            and all(_is_estimate(one) for one in estimates)
            and all(
                _is_shape(shape) for made in manifest.get("formats", {}).values() for shape in made.get("inputs", ())
            )
            and all(
                isinstance(name, str) and len(value) == 2
                for made in manifest.get("formats", {}).values()
                for name, value in (made.get("config") or {}).items()
            )
            and all(_is_told(made) for made in manifest.get("formats", {}).values())
            and all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in manifest.get("variants", ()))
            and is_sound(manifest.get("certificate"))
            and is_sound_choice(manifest.get("recovery_choice"))
            and is_sound_report(manifest.get("pays"))
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _is_told(made: dict[str, Any]) -> bool:
    """Whether what is said of an engine that made a file, and of one that was not run, is text and counts."""
    texts = [made[name] for name in ("engine", "not_run") if name in made]
    counts = [made["weights"][name] for name in ("same_bits", "scaled", "of")] if "not_run" in made else []
    return all(isinstance(text, str) for text in texts) and all(_is_whole(n) for n in counts)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(size is None or (_is_whole(size) and size >= 0) for size in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_estimate(value: Any) -> bool:
    numbers = (value["value"], value["low"], value["high"])
    return _is_whole(value["n"]) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers)


def formats_of(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Names of the formats in a bundle; version 1 had two, and did not list them."""
    if manifest["version"] == 1:
        return (ALWAYS, "onnx") if manifest.get("form") == "shrunk" and manifest["no_onnx"] is None else (ALWAYS,)
    return tuple(manifest["formats"])


def threads_of(manifest: dict[str, Any]) -> int | None:
    """Threads that torch added up with when the bundle was made; `None` if the manifest does not say."""
    made_with = manifest.get("made_with")
    found = made_with.get("threads") if isinstance(made_with, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _lists_files(manifest: dict[str, Any]) -> bool:
    """Whether the files are the plan, the cards and those of the formats, each where its format puts it."""
    try:
        of: dict[str, str] = {}
        expected: dict[str, str | None]
        if manifest["version"] == 1:
            expected = {PLAN: None, **{FORMATS[name].path: None for name in formats_of(manifest)}}
        else:
            of = {file: name for name, made in manifest["formats"].items() for file in made["files"]}
            expected = {PLAN: "plan", CARD: "card", PAGE: "card", **of}
        inside = all(
            PurePosixPath(FORMATS[name].path) in (path := PurePosixPath(file), *path.parents) and ".." not in path.parts
            for file, name in of.items()
        )
        found = {file: entry.get("format") for file, entry in manifest["files"].items()}
        return inside and found == expected and WEIGHTS in expected
    except (KeyError, TypeError, AttributeError):
        return False
