"""What is told of a layer: by hand, of one that was measured, one that was not, and one that a plan narrows."""

import pytest

from core.graph.drawn import drawing_of
from core.graph.facts import layer_facts
from core.graph.model_explorer import MAY_GO, MUCH, graph_file, node_values
from core.graph.shown import first_granularity, shown
from core.graph.svg import UNKNOWN, colour, picture
from core.plans.plan import Cut, SparsityPlan
from core.profiling.report import LayerCost, Machine, ProfileReport
from core.sensitivity.maps.colours import LIGHT
from core.sensitivity.report import CellResult, Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Member, Target
from tests.core.graph.test_drawn import LAYERS, MODULES, NETWORK

SCALE = Scale("accuracy", "fraction", True, 0.0, 1.0)
SHAPES = {"stem": (8, 1, 3, 3), "blocks.0.conv": (8, 8, 3, 3), "blocks.1.conv": (8, 8, 3, 3), "fc": (4, 8)}


def weight(name):
    size = 1
    for length in SHAPES[name]:
        size *= length
    return Target(name, "weight", MODULES[name], f"{name}.weight", SHAPES[name], size)


GROUP = Target(
    "stem", "channel", "Conv2d", "stem.weight", SHAPES["stem"], 700, n_units=8,
    members=(Member("stem", "outputs"), Member("blocks.0.conv", "inputs")),
)  # fmt: skip
FOUND = Description(
    "net", "net", "0", SCALE, 100, None, None, 100, 2000, (*map(weight, LAYERS), GROUP), (),
)  # fmt: skip


def cell(name, sparsity, low, value, high):
    cut = Cut(name, "weight", sparsity, "magnitude")
    return CellResult(cut, 1, 2, "measured", drop=Estimate(value, low, high, 50))


CELLS = (
    cell("stem", 0.5, -0.001, 0.0, 0.004),
    cell("stem", 0.9, 0.1, 0.2, 0.3),
    cell("blocks.0.conv", 0.5, -0.02, 0.0, 0.02),
)
PLAN = SparsityPlan((Cut("stem", "channel", 0.5, "magnitude"), Cut("fc", "weight", 0.25, "magnitude")))


def facts(**settings):
    return {one.operation: one for one in layer_facts(NETWORK, FOUND, CELLS, 0.01, **settings)}


def test_a_limit_is_what_is_known_to_stay_within_and_what_was_not_measured_has_none():
    found = facts()
    limits = {name: one.of("weight")[0].limit for name, one in found.items()}
    assert limits == {"conv": 0.5, "conv_1": 0.0, "conv_2": None, "fc": None}
    assert [drop.sparsity for drop in found["conv"].of("weight")[0].drops] == [0.5, 0.9]
    assert found["fc"].share == 32 / 2000


def test_a_plan_narrows_what_makes_and_what_reads_its_channels():
    found = facts(plan=PLAN)
    widths = {name: (one.inputs, one.outputs, one.inputs_left, one.outputs_left) for name, one in found.items()}
    assert widths["conv"] == (1, 8, 1, 4)
    assert widths["conv_1"] == (8, 8, 4, 8)
    assert widths["fc"] == (8, 4, 8, 4)
    assert found["fc"].nonzero == 0.75


def test_milliseconds_are_those_of_a_profile_and_none_without():
    machine = Machine("cpu", 1, "linux", "cpu", "2")
    layers = tuple(
        LayerCost(name, 1, 1.0, seconds, None, batch, 1)
        for batch, name, seconds in ((1, "stem", 0.002), (64, "stem", 9.0))
    )
    found = facts(profile=ProfileReport("net", machine, (), (), (), layers))
    assert (found["conv"].milliseconds, found["fc"].milliseconds) == (2.0, None)
    assert facts()["conv"].milliseconds is None


def test_a_folded_block_tells_the_least_of_its_layers():
    found = tuple(facts().values())
    values = shown(drawing_of(NETWORK), found, "weight", SCALE, 0.01)
    assert first_granularity(found) == "weight"
    assert values["group:blocks"].limit == 0.0
    assert values["group:blocks"].share == pytest.approx(1152 / 2000)
    assert values["group:blocks.1"].limit is None
    assert values["conv"].widths == "1 → 8"
    assert any("up to 50 %" in line and "n = 50" in line for line in values["conv"].tip)
    assert any("no measured sparsity is known to be within 1.00 points" in line for line in values["conv_1"].tip)
    assert "weights: not measured" in values["fc"].tip


def test_the_picture_has_a_box_for_all_that_is_seen_and_no_script():
    values = shown(drawing_of(NETWORK), tuple(facts(plan=PLAN).values()), "weight", SCALE, 0.01, True)
    whole = picture(drawing_of(NETWORK), values, "a & b", ("note <1>",))
    folded = picture(drawing_of(NETWORK), values, "net", most=5)
    assert all(f">{name}</text>" in whole for name in LAYERS)
    assert ">blocks</text>" in folded
    assert "blocks.0.conv</text>" not in folded
    assert "planned 1 → 4" in whole
    assert "a &amp; b" in whole
    assert "<script" not in whole
    assert "href" not in whole


def test_colours_go_from_nothing_to_everything_and_white_is_not_measured():
    assert [colour(limit) for limit in (None, 0.0, 0.19, 0.5, 1.0)] == [
        UNKNOWN, *(LIGHT.limits[i] for i in (0, 0, 2, 4)),
    ]  # fmt: skip


def test_model_explorer_is_given_the_nodes_of_the_graph_and_no_value_that_was_not_measured():
    found = tuple(facts(plan=PLAN).values())
    collection = graph_file(NETWORK, "net", found)
    (graph,) = collection["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert list(nodes) == [one.name for one in NETWORK.operations]
    assert nodes["conv_1"]["namespace"] == "blocks (Sequential)/0 (Block)/conv (Conv2d)"
    assert {edge["sourceNodeId"] for edge in nodes["add"]["incomingEdges"]} == {"norm", "relu"}
    files = {one.file: one.document() for one in node_values(found, SCALE, 0.01, True)}
    assert set(files) == {"share", "limit-weight", "drop-weight-50", "drop-weight-90", "plan"}
    none, much = {"value": 0.0, "bgColor": MUCH[0]}, {"value": 20.0, "bgColor": MUCH[2]}
    assert files["drop-weight-50"]["graph"]["results"] == {"conv": none, "conv_1": none}
    assert files["drop-weight-90"]["graph"]["results"] == {"conv": much}
    assert files["limit-weight"]["graph"]["results"]["conv"] == {"value": 50.0, "bgColor": MAY_GO[1]}
    assert all(set(document["graph"]["results"]) <= set(nodes) for document in files.values())
