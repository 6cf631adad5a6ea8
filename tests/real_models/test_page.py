"""docs/real-models.md is what the run has found, of all models that are listed."""

import json

from tests.real_models.packages import MODELS, WORKLOADS
from tests.real_models.page import COMMAND, FOUND, PAGE, page


def test_the_page_is_what_was_found():
    found = json.loads(FOUND.read_text(encoding="utf-8"))
    assert set(found) == set(MODELS)
    assert PAGE.read_text(encoding="utf-8") == page(found), f"docs/real-models.md is stale; run `{COMMAND}`"


def test_packages_are_pinned_and_every_workload_file_is_used():
    for real in MODELS.values():
        assert all("==" in pin for pin in (real.model, real.data) if pin)
    assert {path.stem for path in WORKLOADS.glob("*.py")} == set(MODELS) - {"words"}  # that one is a folder
