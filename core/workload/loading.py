"""Loading a workload: a sample by its name, a Python file by its path, or a reference to what lies elsewhere."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from core.errors import SecateurError
from core.workload.sources.reference import KINDS, canonical, is_reference, parsed, refuse_bare, with_options
from core.workload.sources.registry import build as build_reference

GROUP = "secateur.workloads"
FUNCTION = "workload"
# text and no module: it is what a user writes, and imports what stands above this room
TEMPLATE = Path(__file__).with_name("workload_template.py.txt")
PREFIX = "secateur_workload_"  # of the names of files as modules
_neighbours: set[str] = set()  # modules that workload files imported from their own folders
_folders: set[str] = set()  # that were put on sys.path for them


def sample_names() -> tuple[str, ...]:
    """Names of the installed workloads (entry points of the group `secateur.workloads`), sorted."""
    return tuple(sorted(point.name for point in importlib.metadata.entry_points(group=GROUP)))


def canonical_ref(ref: str) -> str:
    """The one way to write a reference: a sample's name, the absolute path of an existing file, or `kind:place?…`.

    Raises:
        SecateurError: none of these, or something that it names is not there.
    """
    given: Any = ref
    if not isinstance(given, str):
        raise SecateurError(
            "a model is named by a string: a sample, a workload file or a reference; got "
            f"{type(given).__name__}. core.workload_of(model, loader, metric) makes a workload of a model"
        )
    if ref in sample_names():
        return ref
    if is_reference(ref):
        return canonical(ref)
    path = Path(ref).expanduser()
    if path.suffix == ".py" and path.is_file():
        return str(path.resolve())
    if path.suffix == ".py":
        raise SecateurError(f"no workload file {ref}; `secateur init {path.name}` writes one to start from")
    if ref.strip():
        refuse_bare(ref)
    names = ", ".join(sample_names()) or "none (is secateur installed? `python -m pip install -e .`)"
    kinds = ", ".join(f"{kind}:" for kind in KINDS)
    raise SecateurError(
        f"unknown model {ref!r}; samples: {names}; or give the path of a workload file ending in .py, or one of "
        f"{kinds} as in hf:./folder --data test.csv"
    )


def load_workload(ref: str | Path, **options: str) -> Any:
    """The workload of that name or file, checked and ready to measure.

    A file is run as Python: only ever call this with a file that the user named.

    Args:
        ref: a sample's name, a file, or a reference such as `"hf:./folder"`.
        options: of a reference, as `data="test.csv"`; what they are called on the command line.

    Returns:
        `core.workload.workload.Workload`.

    Raises:
        SecateurError: unknown, fails to load, returns something else, or does not pass `Workload.check`.
    """
    from torch import nn  # only when a model is really wanted

    from core.workload.identity.unwrapped import unwrap_inside
    from core.workload.layers.held_by_hooks import fold_masks
    from core.workload.workload import Workload

    ref = canonical_ref(with_options(str(ref) if isinstance(ref, Path) else ref, options))
    _forget_neighbours()
    before = set(sys.modules)
    try:
        build = _builder(ref)
        with redirect_stdout(sys.stderr):  # what a file prints is not the answer of a command
            workload = build()
    except SecateurError:
        raise
    except (Exception, SystemExit) as error:  # a script that ends itself must not end us without a word
        raise SecateurError(f"{FUNCTION}() of {ref} raised {type(error).__name__}: {error}{where(error)}") from error
    finally:
        new = (name for name in set(sys.modules) - before if not name.startswith(PREFIX))
        _neighbours.update(name for name in new if _is_beside(sys.modules[name]))
    if not isinstance(workload, Workload):
        raise SecateurError(f"{FUNCTION}() of {ref} must return a core.Workload, got {type(workload).__name__}")
    if isinstance(workload.model, nn.Module) and unwrap_inside(workload.model):
        note = "model: layers were taken out of torch.compile; they are measured as they are without"
        workload = replace(workload, notes=(*workload.notes, note))
    if isinstance(workload.model, nn.Module) and (folded := fold_masks(workload.model)):
        more = f" and {len(folded) - 1} more" if len(folded) > 1 else ""
        note = f"model: masks of torch.nn.utils.prune were folded into {folded[0]}{more}; the hooks are gone"
        workload = replace(workload, notes=(*workload.notes, note))
    workload.check()
    return workload


def _builder(ref: str) -> Callable[[], Any]:
    if is_reference(ref):
        if (root := parsed(ref).options.get("root")) is not None:
            _add_folder(root)
        return functools.partial(build_reference, ref)
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == ref:
            try:
                found: Callable[[], Any] = point.load()
            except Exception as error:
                raise SecateurError(
                    f"the installed workload {ref} ({point.value}) raised {type(error).__name__}: {error}; "
                    "install its package again"
                ) from error
            return found
    module = _run_file(Path(ref))
    build = getattr(module, FUNCTION, None)
    if not callable(build):
        raise SecateurError(f"{ref} must define a function {FUNCTION}(); `secateur init` writes a file that does")
    return build


def _run_file(path: Path) -> ModuleType:
    # two files of one name are two modules, or the classes of the first would be taken to have the code of the second
    place = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{PREFIX}{path.stem}_{place}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes defined in the file must find their module
    _add_folder(str(path.parent))
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SecateurError:
        raise
    except (Exception, SystemExit) as error:
        more = where(error, path) + _namesake_hint(path, error)
        raise SecateurError(f"{path} raised {type(error).__name__}: {error}{more}") from error
    return module


def where(error: BaseException, path: Path | None = None) -> str:
    """` (line 12 of model.py: x = load())`: the innermost line of a person's own file; empty if it was in none.

    Args:
        error: that was raised.
        path: of the file that was being run, if one was.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f" (line {error.lineno} of {Path(error.filename).name}: {(error.text or '').strip()[:80]})"
    mine = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path) or _is_own(Path(frame.filename))
    ]
    if not mine:
        return ""
    return f" (line {mine[-1].lineno} of {Path(mine[-1].filename).name}: {(mine[-1].line or '').strip()[:80]})"


def _add_folder(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)  # behind everything else: a file beside it must not shadow a package
        _folders.add(folder)


def _forget_neighbours() -> None:
    """In one process, what a file imports from its folder may have been edited since, or be another file's `model`."""
    for name in _neighbours:
        sys.modules.pop(name, None)
    sys.path[:] = [folder for folder in sys.path if folder not in _folders]
    _neighbours.clear()
    _folders.clear()


def _is_beside(module: ModuleType | None) -> bool:
    """Whether a module lies in a workload file's folder."""
    return _is_own(Path(str(getattr(module, "__file__", None) or "")))


def _is_own(file: Path) -> bool:
    """Whether a file lies in the folder of a workload file, and not among the packages of an environment inside it."""
    return any(Path(folder) in file.parents for folder in _folders) and not {"site-packages", "dist-packages"} & {
        *file.parts
    }


def _namesake_hint(path: Path, error: BaseException) -> str:
    """A project's own `core` cannot be imported beside ours; say so instead of "no module named core.models"."""
    if not isinstance(error, ImportError):
        return ""
    for name in ("core", "dashboard", "sample_models"):
        clash = (path.parent / name).is_dir() or (path.parent / f"{name}.py").is_file()
        if clash and (error.name or "").split(".")[0] == name:
            return (
                f". Your {name!r} beside this file has the name of a package of Secateur, which is imported first; "
                f"rename yours, or move the model code this workload needs to a package of another name"
            )
    return ""
