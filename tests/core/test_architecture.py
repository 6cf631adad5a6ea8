"""Imports point one way, and what must be quick does not import torch."""

import ast
import functools
import subprocess
import sys

import pytest

from tests.imports import MODULES, imports_of, of


def packages_of(name):
    return {module.split(".")[0] for module in imports_of(name)}


@functools.cache
def reached_by(name):
    """Modules of ours, and others, that importing a module imports: statements at module level, followed."""
    seen, todo = set(), [name]
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in MODULES:
            todo += imports_of(module, inside_functions=False)
            todo += [module.rpartition(".")[0]] if "." in module else []
    return seen


def test_the_reader_of_imports_sees_them_all(tmp_path, monkeypatch):
    text = (
        "import a.b\nfrom c import d\ndef f():\n    import e\n    importlib.import_module('g')\n"
        "if TYPE_CHECKING:\n    import h\n"
    )
    (tmp_path / "x.py").write_text(text)
    monkeypatch.setitem(MODULES, "x", tmp_path / "x.py")
    assert imports_of("x") == {"a.b", "c", "c.d", "e", "g"}
    assert imports_of("x", inside_functions=False) == {"a.b", "c", "c.d"}
    assert imports_of("x", for_types=True) == {"a.b", "c", "c.d", "e", "g", "h"}


def test_core_has_never_heard_of_what_is_built_on_it():
    for name in of("core"):
        never = {"streamlit", "plotly", "pandas", "dashboard", "sample_models", "tests"}
        never -= {"pandas"} if name == "core.reports.notebook" else set()  # where somebody asks for a table of it
        assert not packages_of(name) & never, name
        assert "pandas" not in imports_of(name, inside_functions=False), name


def test_samples_know_only_core_and_themselves():
    for name in of("sample_models"):
        assert packages_of(name).isdisjoint({"dashboard", "streamlit", "plotly", "tests"}), name


def needs_torch(name):
    return "torch" in {module.split(".")[0] for module in reached_by(name)}


def test_the_dashboard_never_imports_torch():
    for name in of("dashboard"):
        assert packages_of(name).isdisjoint({"torch", "safetensors", "sample_models", "tests"}), name
        assert not [module for module in imports_of(name) if module.split(".")[0] == "core" and needs_torch(module)]


def test_plans_and_tuning_need_no_torch():
    assert not [name for name in (*of("core.plans"), *of("core.tuning")) if needs_torch(name)]


NO_TORCH = (
    "core",
    "core.errors",
    "core.workspace",
    "core.numbers",
    "core.plans.cut_words",
    "core.sensitivity.sweep_words",
    "core.profiling.profile_words",
    "core.delivery.bundle_words",
    "core.workload.target_words",
    "core.jobs.known.plan_words",
    "core.delivery.export_steps",
    "core.delivery.formats.facts",
    "core.profiling.hardware",
    "core.plans.criteria",
    "core.plans.patterns",
    "core.plans.plan",
    "core.plans.schedules",
    "core.recovery.history",
    "core.recovery.making",
    "core.recovery.reproduction.parting",
    "core.recovery.request",
    "core.recovery.round_file",
    "core.recovery.settings",
    "core.recovery.tickets.report",
    "core.recovery.tickets.request",
    "core.recovery.recovery_words",
    "core.quantization.quantized_plan",
    "core.quantization.report",
    "core.quantization.request",
    "core.cli.measuring.bits",
    "core.cli.training.recover",
    "core.cli.delivering.reproduce",
    "core.pruning.config",
    "core.profiling.paired",
    "core.profiling.report",
    "core.profiling.request",
    "core.profiling.saved_time",
    "core.sensitivity.criteria_comparison",
    "core.sensitivity.pairs",
    "core.sensitivity.report",
    "core.sensitivity.request",
    "core.sensitivity.slices",
    "core.workload.description",
    "core.workload.loading",
    "core.workload.identity.origin",
    "core.workload.scale",
    "core.workload.target",
    "core.jobs.known.findings",
    "core.jobs.known.kept_rounds",
    "core.jobs.known.sizes",
    "core.jobs.known.variants",
    "core.jobs.run",
    "core.jobs.runs",
    "core.jobs.launch",
    "core.jobs.merging.merge",
    "core.jobs.drafts",
    "core.jobs.known.plan_book",
    "core.cli",
    "core.cli.looking.criteria",
    "core.cli.looking.inspect",
    "core.cli.following",
    "core.cli.measuring.sweep",
    "core.cli.measuring.apply",
    "core.cli.delivering.export",
    "core.cli.delivering.verify",
    "core.cli.tuning.plan",
    "core.cli.tuning.solve",
    "core.cli.tuning.searches",
    "core.cli.tuning.writing",
    "core.cli.tables.plans",
    "core.cli.tolerance",
    "core.cli.merge",
    "core.cli.measuring.pairs",
    "core.cli.looking.plans",
    "core.cli.measuring.profile",
    "core.cli.delivering.quantize",
    "core.quantization.bits",
    "core.quantization.quantization_words",
    "core.cli.tables.profiles",
    "core.cli.looking.slices",
    "core.cli.tables.runs",
    "core.cli.serve",
)


@pytest.mark.process
def test_what_the_dashboard_and_the_command_line_read_imports_no_torch():
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *NO_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "copyreg"}
READING = {"eval", "exec", "torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "numpy.load", "np.load"}
LAST = {name.rpartition(".")[2] for name in READING} | {"read_pickle"}


def test_no_module_reads_a_pickle_or_runs_text():
    """Weights come as safetensors; `eval` and `exec` of text have no place here, nor in what a fresh process runs."""
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        scripts = [
            ast.parse(node.value.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SCRIPT"
            if isinstance(node.value, ast.Constant)
        ]
        for text in (tree, *scripts):
            for node in ast.walk(text):
                if isinstance(node, ast.Call):
                    last = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    called = ast.unparse(node.func) if last in LAST else last
                    assert called not in READING, f"{name}: {called}"
                    assert not called.endswith("read_pickle"), name
                    # what it would unpickle is refused before, see core.workload.programs.archive; an engine's process
                    # reads what the worker has just written of a model it holds, in a folder of its own
                    loads = ["core.delivery.formats.pt2_program", "core.workload.programs.built"]
                    loads += [f"core.engines.runners.{engine}" for engine in ("coreml", "executorch", "litert")]
                    assert called != "torch.export.load" or name in loads, name
                    assert not any(word.arg in ("allow_pickle", "weights_only") for word in node.keywords), name
                elif isinstance(node, ast.Import):
                    assert PICKLERS.isdisjoint(alias.name.partition(".")[0] for alias in node.names), name
                elif isinstance(node, ast.ImportFrom):
                    assert (node.module or "").partition(".")[0] not in PICKLERS, name


def test_every_script_of_a_fresh_process_is_looked_through():
    formats = [name for name in of("core.delivery.formats") if "SCRIPT = " in MODULES[name].read_text(encoding="utf-8")]
    assert len(formats) == 4
