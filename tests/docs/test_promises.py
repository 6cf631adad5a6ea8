"""The page of promises: every test that it names exists, and the promises that have no other home are held here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
FAULTS, CAMPAIGN = ROOT / "docs" / "faults.md", ROOT / "tests" / "campaign" / "__main__.py"
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
IMPORT = re.compile(r"^[ ]*(?:import|from) ([\w.]+)(?: import ([\w, ]+))?", re.MULTILINE)
CONNECTING = {
    "http.client", "urllib.request", "requests", "httpx", "aiohttp", "urllib3", "ftplib", "smtplib", "huggingface_hub",
    "xmlrpc.client", "websockets", "urllib", "http",
}  # fmt: skip


def test_it_names_many_tests():
    assert len(set(NAMED)) > 40  # else the pattern above has lost sight of them


@pytest.mark.parametrize("named", sorted({"::".join(named) for named in NAMED}))
def test_every_test_that_a_promise_names_exists(named):
    path, name = named.split("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fault_on_its_page_is_attacked_by_what_there_is():
    rows = [line for line in FAULTS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    names = {name for row in rows for name in re.findall(r"`([\w/.]+)`", row.rstrip(" |").rpartition("|")[2])}
    families = ast.literal_eval(re.search(r"FAMILIES = (\(.*?\))", CAMPAIGN.read_text(encoding="utf-8"), re.DOTALL)[1])
    assert {name for name in names if "/" not in name} == set(families)
    assert [name for name in sorted(names) if "/" in name and not (ROOT / name).is_file()] == []


def imported_by(path):
    """Names after `import` and `from`, the latter also with what is taken; by text, as syntax trees take seconds."""
    for module, taken in IMPORT.findall(path.read_text(encoding="utf-8")):
        yield module
        yield from (f"{module}.{name.strip()}" for name in taken.split(",") if taken)


def test_imports_are_seen(tmp_path):
    (tmp_path / "x.py").write_text("import a.b as c\nif d:\n    from e import f, g\nfrom h import (\n    i,\n)\n")
    assert set(imported_by(tmp_path / "x.py")) == {"a.b", "e", "e.f", "e.g", "h"}


def test_no_module_opens_a_connection():
    modules = [path for package in ("core", "dashboard", "sample_models") for path in (ROOT / package).rglob("*.py")]
    imports = {path.relative_to(ROOT).as_posix(): set(imported_by(path)) for path in modules}
    assert len(imports) > 300
    assert not {(path, name) for path, names in imports.items() for name in names & CONNECTING}
    with_sockets = {path for path, names in imports.items() if "socket" in names}
    assert with_sockets == {
        "dashboard/__main__.py",  # asks whether a port of this machine is free
        "core/jobs/cluster/ray_hands.py",  # knocks where the user says that a Ray is
    }


def test_the_server_listens_on_this_machine_only_and_reports_to_nobody():
    from dashboard.__main__ import SETTINGS
    from dashboard.serving.addresses import ADDRESS, ALLOWED_HOSTS

    assert SETTINGS["server.address"] == ADDRESS == "127.0.0.1"
    assert set(ALLOWED_HOSTS) == {"localhost", "127.0.0.1"}
    assert SETTINGS["browser.gatherUsageStats"] == "false"
    assert SETTINGS["client.showErrorLinks"] == "false"  # which would offer to ask a search engine
    assert SETTINGS["server.enableXsrfProtection"] == SETTINGS["server.enableCORS"] == "true"
