"""The command that draws the network: a picture, a document, a folder for Model Explorer; and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.core.cli.running import document_of, refused, secateur

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]


def test_the_network_is_a_picture_a_document_or_a_folder(net_file):
    assert secateur("sweep", net_file, "--sparsities", "0.5").exit_code == 0
    assert secateur("plan", net_file, "--uniform", "0.5", "--out", "half.json").exit_code == 0
    printed = secateur("graph", net_file, "--plan", "half.json")
    assert printed.stdout.startswith("<svg")
    document = document_of("graph", net_file, "--plan", "half.json")
    assert (document["format"], document["version"], document["reason"]) == ("secateur.graph", 1, None)
    names = {operation["name"] for operation in document["operations"]}
    weights = [target for target in document["targets"] if target["granularity"] == "weight"]
    assert weights
    assert all(target["operation"] in names and target["planned"] == 0.5 and target["drops"] for target in weights)
    done = secateur("graph", net_file, "--format", "model-explorer", "--out", "explorer")
    assert done.exit_code == 0, done.stderr
    assert {"graph.json", "share.json", "drop-weight-50.json"} <= {path.name for path in Path("explorer").iterdir()}
    assert {node["id"] for node in json.loads(Path("explorer/graph.json").read_text())["graphs"][0]["nodes"]} == names


def test_what_was_not_measured_is_null_in_the_document(net_file):
    document = document_of("graph", net_file)
    assert document["tolerance"] is None
    assert {(target["limit"], target["planned"], len(target["drops"])) for target in document["targets"]} == {
        (None, None, 0)
    }
    assert {layer["milliseconds"] for layer in document["layers"]} == {None}


def test_what_cannot_be_drawn_is_refused(net_file):
    assert "--out explorer" in refused("graph", net_file, "--format", "model-explorer")
    assert "no run" in refused("graph", net_file, "--sweep", "abc")
    assert "choose another with --out" in refused("graph", net_file, "--out", "none/there.svg")
