"""Which module imports which, read from the text of the files: also imports inside functions."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("core", "dashboard", "sample_models")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in OURS
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stat().st_size
}


def of(package: str) -> list[str]:
    """Modules of a package, itself among them."""
    return [name for name in MODULES if name == package or name.startswith(package + ".")]


def imports_of(name: str, inside_functions: bool = True, for_types: bool = False) -> frozenset[str]:
    """Every module that a file imports by any statement, also inside functions; those for the type checker if asked."""
    return _imports_of(name, MODULES[name], inside_functions, for_types)


@functools.cache  # hundreds of tests follow the same files
def _imports_of(name: str, path: Path, inside_functions: bool, for_types: bool) -> frozenset[str]:
    found = set()

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not for_types:
            for child in node.orelse:
                visit(child, in_function)
            return
        in_function = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if inside_functions or not in_function:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} has a relative import: say where it comes from"
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(node.args[0].value)
        for child in ast.iter_child_nodes(node):
            visit(child, in_function)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return frozenset(found)


def needs(name: str) -> set[str]:
    """Modules of ours that a module imports anywhere; `core.plans.plan` stands for `core.plans`, too."""
    found = {module for module in imports_of(name, for_types=True) if module in MODULES}
    return {module for module in found if not any(other.startswith(module + ".") for other in found)} - {name}
