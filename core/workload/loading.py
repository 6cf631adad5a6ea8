"""Loading a workload: a sample by its name, or a Python file by its path."""

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from core.errors import SecateurError

GROUP = "secateur.workloads"
FUNCTION = "workload"
_brought_in: dict[Path, set[str]] = {}


def sample_names() -> tuple[str, ...]:
    """Names of the installed workloads (entry points of the group `secateur.workloads`), sorted."""
    return tuple(sorted(point.name for point in importlib.metadata.entry_points(group=GROUP)))


def canonical_ref(ref: str) -> str:
    """The one way to write a reference: a sample's name, or the absolute path of an existing file.

    Raises:
        SecateurError: neither a sample nor a file.
    """
    if ref in sample_names():
        return ref
    path = Path(ref).expanduser()
    if path.suffix == ".py" and path.is_file():
        return str(path.resolve())
    if path.suffix == ".py":
        raise SecateurError(f"no workload file {ref}; `secateur init {path.name}` writes one to start from")
    names = ", ".join(sample_names()) or "none (is secateur installed? `python -m pip install -e .`)"
    raise SecateurError(f"unknown model {ref!r}; samples: {names}; or give the path of a workload file ending in .py")


def load_workload(ref: str) -> Any:
    """The workload of that name or file, checked and ready to measure.

    A file is run as Python: only ever call this with a file that the user named.

    Returns:
        `core.workload.workload.Workload`.

    Raises:
        SecateurError: unknown, fails to load, returns something else, or does not pass `Workload.check`.
    """
    from core.workload.workload import Workload  # torch: only when a model is really wanted

    ref = canonical_ref(ref)
    build = _builder(ref)
    try:
        with redirect_stdout(sys.stderr):  # what a file prints is not the answer of a command
            workload = build()
    except SecateurError:
        raise
    except (Exception, SystemExit) as error:  # a script that ends itself must not end us without a word
        raise SecateurError(f"{FUNCTION}() of {ref} raised {type(error).__name__}: {error}") from error
    if not isinstance(workload, Workload):
        raise SecateurError(f"{FUNCTION}() of {ref} must return a core.Workload, got {type(workload).__name__}")
    workload.check()
    return workload


def _builder(ref: str) -> Callable[[], Any]:
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
    spec = importlib.util.spec_from_file_location(f"secateur_workload_{path.stem}_{place}", path)
    assert spec is not None
    assert spec.loader is not None
    # in a notebook: what the file imported from its folder last time may have been edited since
    for name in _brought_in.pop(path, ()):
        sys.modules.pop(name, None)
    before = set(sys.modules)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes defined in the file must find their module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # behind everything else: a file beside it must not shadow a package
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SecateurError:
        raise
    except (Exception, SystemExit) as error:
        raise SecateurError(f"{path} raised {type(error).__name__}: {error}{_namesake_hint(path, error)}") from error
    finally:
        _brought_in[path] = {name for name in set(sys.modules) - before if _is_beside(sys.modules[name], path)}
    return module


def _is_beside(module: ModuleType | None, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and path.parent in Path(str(file)).parents


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
