"""An editable install finds files that a wheel forgot: build the wheel, unpack it elsewhere, load the samples."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ("fashion-resnet", "fashion-vit", "tiny-gpt")


def test_what_a_wheel_takes_from_outside_its_packages_is_in_the_source_archive():
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    taken = {*targets["wheel"]["packages"], *targets["wheel"]["force-include"]}
    assert taken <= set(targets["sdist"]["include"])


@pytest.mark.process
@pytest.mark.slow
def test_every_sample_loads_from_an_installed_wheel(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True, text=True
    )
    (wheel,) = tmp_path.glob("secateur-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"core", "dashboard", "sample_models"}
    for expected in (
        "dashboard/icon.svg",
        "dashboard/tuner/tuner.js",
        "dashboard/tuner/tuner.css",
        "dashboard/graph/graph.js",
        "dashboard/serving/scripts/dagre-3.1.3.min.js",
        "dashboard/serving/scripts/dagre-3.1.3.LICENSE.txt",
        "dashboard/screens/map/screen.py",
        "sample_models/data/fashion-mnist/LICENSE",
    ):
        assert expected in names
    for path in (ROOT / "docs").rglob("*"):  # the dashboard serves them
        assert not path.is_file() or f"dashboard/manual/{path.relative_to(ROOT / 'docs').as_posix()}" in names
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import sys, core\n"
        f"assert core.__file__.startswith({str(site)!r}), core.__file__\n"
        "from core import load_workload\n"
        f"for name in {SAMPLES!r}: print(load_workload(name).name)\n"
        "from dashboard.serving.manual import Manual, folder\n"
        f"assert folder().is_relative_to({str(site)!r}), folder()\n"
        "assert Manual(folder()).title('')"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert done.stdout.split() == list(SAMPLES), done.stderr
