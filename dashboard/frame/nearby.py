"""Models and data of one's own that lie nearby: offered beside the field for a path, so that nobody has to type one.

Nothing found here is run or loaded: of a Python file the text is read, of a folder the names.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.workload.sources.reference import is_reference, parsed

FOLDERS = "SECATEUR_MODELS"  # of the environment: folders that were named at the start, between os.pathsep
MOST_MODELS, MOST_DATA, MOST_LOOKED_AT, DEPTH = 8, 6, 3000, 3
LARGEST_FILE = 200_000  # bytes of a Python file that is looked into
DEFINES = re.compile(r"^(def workload\(|workload\s*=)", re.MULTILINE)
LEFT_OUT = {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")
OF_MODELS = re.compile(
    r"^(config|generation_config|tokenizer.*|special_tokens.*|vocab.*|merges|modules|.*index|.*config.*|package.*)"
    r"\.(json|txt)$|^(requirements|readme|license).*\.txt$",
    re.IGNORECASE,
)
Kind = Literal["workload", "folder", "program"]


@dataclass(frozen=True)
class Nearby:
    """Something that looks like a model.

    Attributes:
        path: absolute.
        kind: a workload file, a folder that transformers or sentence-transformers saved, or an exported program.
    """

    path: Path
    kind: Kind

    @property
    def needs_data(self) -> bool:
        """Whether it has no data of its own."""
        return self.kind != "workload"


def places(workspace: Path, refs: Iterable[str]) -> tuple[Path, ...]:
    """Folders that are looked in: those that were named at the start, where the dashboard was started, the one around
    the workspace, and those of the models that are known.

    Args:
        workspace: folder of it.
        refs: of the known models.
    """
    named = [Path(text) for text in os.environ.get(FOLDERS, "").split(os.pathsep) if text]
    known = []
    for ref in refs:
        if ref.endswith(".py") and Path(ref).is_absolute():
            known.append(Path(ref).parent)
        elif is_reference(ref) and Path(parsed(ref).place).is_absolute():
            known.append(Path(parsed(ref).place).parent)
    asked = [*named, Path.cwd(), workspace.resolve().parent, *known]
    return tuple(dict.fromkeys(path.resolve() for path in asked if path.is_dir()))


def models(folders: Sequence[Path]) -> tuple[Nearby, ...]:
    """What looks like a model in some folders, those nearest to the top first.

    Args:
        folders: looked in three levels deep; hidden ones, environments and what is no folder of a person are left out.
    """
    found: dict[Path, Nearby] = {}
    looked_at = 0
    for path, names in _walk(folders):
        looked_at += len(names)
        if looked_at > MOST_LOOKED_AT or len(found) >= MOST_MODELS:
            break
        if "modules.json" in names or ("config.json" in names and any(n.endswith(".safetensors") for n in names)):
            found.setdefault(path, Nearby(path, "folder"))
            continue
        for name in names:
            if name.endswith(".pt2"):
                found.setdefault(path / name, Nearby(path / name, "program"))
            elif name.endswith(".py") and _defines_workload(path / name):
                found.setdefault(path / name, Nearby(path / name, "workload"))
    return tuple(found.values())[:MOST_MODELS]


def data_for(model: Nearby) -> tuple[Path, ...]:
    """Files that may be the data of a model: in its folder and in the folder around it."""
    endings = (".safetensors",) if model.kind == "program" else TABLES
    around = (model.path.parent, model.path) if model.kind == "folder" else (model.path.parent,)
    found = []
    for folder in around:
        for path in _listed(folder):
            is_data = path.suffix.lower() in endings and not OF_MODELS.match(path.name) and path.is_file()
            if is_data and not (model.kind == "program" and path.name == "model.safetensors"):
                found.append(path)
    return tuple(found[:MOST_DATA])


def _walk(folders: Sequence[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files, level by level."""
    level, seen = list(folders), set(folders)
    for _ in range(DEPTH):
        below: list[Path] = []
        for folder in level:
            entries = _listed(folder)
            yield folder, [path.name for path in entries if path.is_file()]
            for path in entries:
                is_ours = not path.name.startswith(".") and path.name not in LEFT_OUT and not path.is_symlink()
                if is_ours and path not in seen and path.is_dir() and not (path / "pyvenv.cfg").is_file():
                    seen.add(path)
                    below.append(path)
        level = below


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _defines_workload(path: Path) -> bool:
    try:
        return path.stat().st_size <= LARGEST_FILE and bool(
            DEFINES.search(path.read_text(encoding="utf-8", errors="replace"))
        )
    except OSError:
        return False
