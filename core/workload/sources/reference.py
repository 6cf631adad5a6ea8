"""References to models that lie in folders and libraries: `kind:place?key=value&…`, all that loading takes. No torch.

One text says everything, so that a worker, a resumed run, a bundle and the dashboard load the same thing again. Paths
in it are absolute, its options stand in one order, and a person can read it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

from core.errors import SecateurError

PLAIN = "/:,.~+@ !$'()*;[]{}\\\"^`|<>"  # of an option's text; only what would end it is written as %XX
PATHS = ("data", "calibration", "training", "holdout", "weights", "root")  # options that name a file or a folder


@dataclass(frozen=True)
class Kind:
    """One way to name a model.

    Attributes:
        what: a line for people.
        place: what stands behind the colon: `"folder"`, `"file"`, `"name"` of a library, or `"python"`: `module:name`.
        takes: options, in the order in which a reference writes them.
        needs: of these, those that cannot be left out.
        module: that looks and builds; imported when one is named.
    """

    what: str
    place: str
    takes: tuple[str, ...]
    needs: tuple[str, ...]
    module: str

    @property
    def runs_python(self) -> bool:
        """Whether loading one runs code that its user wrote."""
        return self.place == "python"


TEXTS = ("data", "calibration", "training", "holdout", "task", "columns", "metric", "length")

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "hf": Kind("a folder that transformers saved", "folder", TEXTS, ("data",), "hf"),
        "st": Kind("a folder that sentence-transformers saved", "folder", TEXTS, ("data",), "hf"),
        "timm": Kind(
            "a model of timm, with its weights", "name", ("data", "calibration", "training", "holdout", "weights"),
            ("data", "weights"), "timm_names",
        ),
        "pt2": Kind(
            "an exported program", "file", ("data", "calibration", "training", "holdout", "metric"), ("data",), "pt2"
        ),
        "py": Kind("a function of yours that returns a workload", "python", ("root",), (), "python_names"),
        "lightning": Kind(
            "a LightningModule of yours, and its data module", "python", ("data", "weights", "metric", "root"),
            ("data", "weights"), "python_names",
        ),
    }
)  # fmt: skip
OPTIONS = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.takes))
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx")  # of files that people take for models
SPELLED = MappingProxyType({"weights": "--checkpoint"})  # `--weights` means something else in a sweep


@dataclass(frozen=True)
class Reference:
    """A reference, taken apart.

    Attributes:
        kind: key of `KINDS`.
        place: behind the colon; a path is absolute.
        options: by name; paths absolute.
    """

    kind: str
    place: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        pairs = [f"{name}={quote(self.options[name], safe=PLAIN)}" for name in OPTIONS if name in self.options]
        return f"{self.kind}:{quote(self.place, safe=PLAIN)}" + ("?" + "&".join(pairs) if pairs else "")

    @property
    def short(self) -> str:
        """For people: what stands last in its place, and in that of its data."""
        data = self.options.get("data")
        return f"{self.kind}:{Path(self.place).name}" + (f" ({Path(data).name})" if data else "")


def is_reference(text: str) -> bool:
    """Whether a text begins as one; `C:\\model.py` does not."""
    kind, colon, _ = text.partition(":")
    return bool(colon) and kind in KINDS


def runs_python(text: str) -> bool:
    """Whether loading it runs what a user wrote: of a workload file, and of references to Python."""
    kind = KINDS.get(text.partition(":")[0])
    return kind is None or kind.runs_python


def short_name(text: str) -> str:
    """A reference or a file without its folders; a sample's name as it is."""
    if text.partition(":")[0] in KINDS:
        return parsed(text).short
    return Path(text).stem if text.endswith(".py") else text


def parsed(text: str) -> Reference:
    """A reference as it was typed or kept; nothing is looked for on the disk.

    Raises:
        SecateurError: it names an option twice, one that its kind does not take, or no place.
    """
    kind, _, rest = text.partition(":")
    place, mark, behind = rest.partition("?")
    options: dict[str, str] = {}
    for pair in behind.split("&") if mark else ():
        name, sign, value = pair.partition("=")
        if not sign or name in options:
            raise SecateurError(f"expected ?name=value&name=value behind {kind}:{place}, each once, got {pair!r}")
        options[name] = unquote(value)
    found = Reference(kind, unquote(place), options)
    _check_options(found)
    if not found.place:
        raise SecateurError(f"{kind}: needs {_place_word(KINDS[kind])} behind it, as in {_example(kind)}")
    return found


def with_options(text: str, given: Mapping[str, str]) -> str:
    """A reference with options that were given beside it.

    Raises:
        SecateurError: the text is no reference, or its kind does not take one of them.
    """
    if not given:
        return text
    if not is_reference(text):
        refuse_bare(text)
        spelled = ", ".join(spelling(name) for name in given)
        kinds = ", ".join(f"{kind}:" for kind, known in KINDS.items() if set(given) <= set(known.takes))
        raise SecateurError(
            f"{spelled} belongs to a model named by {kinds or 'a reference'}; a sample or a workload file has its own "
            "data"
        )
    found = parsed(text)
    twice = [name for name in given if found.options.get(name, given[name]) != given[name]]
    if twice:
        raise SecateurError(f"{spelling(twice[0])} is given twice, in the reference and beside it; leave one out")
    found = replace(found, options={**found.options, **given})
    _check_options(found)
    return str(found)


def canonical(text: str) -> str:
    """The one way to write a reference: absolute paths of what is there, options in one order.

    Raises:
        SecateurError: something that it names is not there, or is missing from it.
    """
    found = parsed(text)
    kind = KINDS[found.kind]
    place = found.place
    if kind.place in ("folder", "file"):
        place = _existing(place, kind.place, found.kind)
    elif kind.place == "python":
        check_python_name(place, found.kind)
        if "root" not in found.options:
            found = replace(found, options={**found.options, "root": _root(place)})
    missing = [name for name in kind.needs if not found.options.get(name)]
    if missing:
        raise SecateurError(f"{found.kind}:{place} needs {spelling(missing[0])}, as in: {_example(found.kind)}")
    options = {}
    for name, value in found.options.items():
        if not value:
            raise SecateurError(f"{spelling(name)} is empty; give a value or leave it out")
        is_path = name in PATHS and not (name == "data" and found.kind == "lightning")
        options[name] = _existing(value, "file or folder", spelling(name)) if is_path else value
    if found.kind == "lightning":
        check_python_name(options["data"], "--data")
    return str(Reference(found.kind, place, options))


def spelling(name: str) -> str:
    """How an option is typed."""
    return SPELLED.get(name, f"--{name}")


def check_python_name(place: str, of: str) -> None:
    """Refuse what is not `package.module:name`."""
    module, colon, name = place.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), name)):
        raise SecateurError(f"{of} expects package.module:name, got {place!r}")


def refuse_bare(text: str) -> None:
    """Say what to type instead of a folder or a file of weights that was named as it is; nothing of anything else.

    Raises:
        SecateurError: it is one.
    """
    path = Path(text).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # too long, or a null byte
        return
    if is_folder:
        kind = "st" if (path / "modules.json").is_file() else "hf"
        raise SecateurError(
            f"{text} is a folder; a model that was saved in one is named {kind}:{text}, as in {_example(kind)}"
        )
    if is_file and path.suffix.lower() == ".pt2":
        raise SecateurError(f"{text} is an exported program; it is named pt2:{text}, as in {_example('pt2')}")
    if is_file and path.suffix.lower() in WEIGHTS:
        raise SecateurError(
            f"{text} holds weights and not the model that they belong to; load them in a workload file (`secateur init "
            "my_model.py` writes one), or name the folder that transformers saved: hf:./folder --data test.csv"
        )


def _root(place: str) -> str:
    """The folder that a package of the user lies in: this one, which a worker started elsewhere would not know."""
    package = place.partition(":")[0].partition(".")[0]
    here = Path.cwd()
    if (here / package).is_dir() or (here / f"{package}.py").is_file():
        return str(here)
    raise SecateurError(
        f"no package {package!r} in {here}; go to the folder that it lies in, or name that: --root FOLDER"
    )


def _existing(text: str, what: str, whose: str) -> str:
    path = Path(text).expanduser()
    try:
        there = path.is_dir() if what == "folder" else path.is_file() if what == "file" else path.exists()
    except (OSError, ValueError):  # too long, or a null byte
        there = False
    if not there:
        hint = "; nothing is fetched from a hub: download it first, then give its folder" if what == "folder" else ""
        raise SecateurError(f"{whose} expects a {what} on this machine, and {text} is none{hint}")
    if what != "folder" and not os.access(path, os.R_OK):
        raise SecateurError(f"{text} may not be read by you; change its permissions")
    return str(path.resolve())


def _check_options(found: Reference) -> None:
    takes = KINDS[found.kind].takes
    odd = [name for name in found.options if name not in takes]
    if odd:
        choice = ", ".join(map(spelling, takes)) or "no option"
        raise SecateurError(f"{found.kind}: takes {choice}, and not {spelling(odd[0])}")


def _place_word(kind: Kind) -> str:
    return {"folder": "a folder", "file": "a file", "name": "a name", "python": "package.module:name"}[kind.place]


def _example(kind: str) -> str:
    return {
        "hf": "hf:./folder --data test.csv",
        "st": "st:./folder --data pairs.csv",
        "timm": "timm:resnet18 --checkpoint w.safetensors --data photos/",
        "pt2": "pt2:./model.pt2 --data test.safetensors",
        "py": "py:package.module:function",
        "lightning": "lightning:package.module:Model --checkpoint w.safetensors --data package.data:DataModule",
    }[kind]
