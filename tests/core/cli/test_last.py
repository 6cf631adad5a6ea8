"""Long lists of runs and plans can be cut to their newest, and say so."""

import json

import pytest

from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur


@pytest.fixture
def workspace(tmp_path):
    store = RunStore(Workspace(tmp_path))
    for i in range(4):
        store.note_finished("profile", "fashion-vit", {"plan": None, "i": i}, {}, float(i))
        PlanBook(store.workspace).keep("fashion-vit", SparsityPlan((Cut("a", sparsity=(i + 1) / 10),)), "hand")
    return tmp_path


@pytest.mark.parametrize(("words", "what"), [(("runs",), "runs"), (("plans", "fashion-vit"), "plans")])
def test_the_newest_are_listed_and_how_many_there_are(words, what, workspace):
    said = secateur(*words, "--last", 2, "--workspace", workspace)
    assert said.exit_code == 0
    assert f"The last 2 of 4 {what}." in said.stdout
    everything = document_of(*words, "--workspace", workspace)
    assert json.dumps(document_of(*words, "--last", 2, "--workspace", workspace)) == json.dumps(everything[:2])
    assert "The last" not in secateur(*words, "--last", 4, "--workspace", workspace).stdout
    refused(*words, "--last", 0, "--workspace", workspace)
