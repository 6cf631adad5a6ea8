"""What is drawn of a network: by hand, on a residual block with an activation, a norm and a second value."""

from dataclasses import replace

from core.graph.drawn import drawing_of, opened, seen
from core.graph.network import Network, Operation, Place

OPERATIONS = (
    Operation("x", "input", ""),
    Operation("conv", "aten.conv2d.default", "stem", ("x",)),
    Operation("relu", "aten.relu.default", "", ("conv",)),
    Operation("conv_1", "aten.conv2d.default", "blocks.0.conv", ("relu",)),
    Operation("norm", "aten.batch_norm.default", "blocks.0.norm", ("conv_1",)),
    Operation("arange", "aten.arange.default", "blocks.0"),
    Operation("add", "aten.add.Tensor", "blocks.0", ("norm", "relu")),
    Operation("conv_2", "aten.conv2d.default", "blocks.1.conv", ("add",)),
    Operation("add_1", "aten.add.Tensor", "blocks.1", ("conv_2", "add")),
    Operation("fc", "aten.linear.default", "fc", ("add_1",)),
    Operation("output", "output", "", ("fc",)),
)
LAYERS = {"stem": "conv", "blocks.0.conv": "conv_1", "blocks.1.conv": "conv_2", "fc": "fc"}
MODULES = {"": "Net", "stem": "Conv2d", "blocks": "Sequential", "blocks.0": "Block", "blocks.1": "Block",
           "blocks.0.conv": "Conv2d", "blocks.1.conv": "Conv2d", "fc": "Linear"}  # fmt: skip
NETWORK = Network(OPERATIONS, tuple(Place("weight", name, at) for name, at in LAYERS.items()), MODULES, 2)


def test_what_passes_one_value_on_is_told_with_what_it_follows():
    boxes = {box.id: box for box in drawing_of(NETWORK).boxes}
    assert list(boxes) == ["x", "conv", "conv_1", "add", "conv_2", "add_1", "fc", "output"]
    assert boxes["conv"].then == ("relu",)
    assert boxes["conv_1"].then == ("batch_norm",)
    assert boxes["add"].inputs == ("conv_1", "conv")


def test_stages_and_blocks_of_several_boxes_are_groups():
    drawing = drawing_of(NETWORK)
    assert [(group.path, group.what, group.parent, len(group.boxes)) for group in drawing.groups] == [
        ("blocks", "Sequential", "", 4),
        ("blocks.0", "Block", "blocks", 2),
        ("blocks.1", "Block", "blocks", 2),
    ]
    assert [(box.label, box.group) for box in drawing.boxes][2:5] == [
        ("conv", "blocks.0"),
        ("add", "blocks.0"),
        ("conv", "blocks.1"),
    ]


def test_a_folded_group_stands_for_what_is_inside():
    drawing = drawing_of(NETWORK)
    assert seen(drawing, ()) == {
        "x": (), "conv": ("x",), "group:blocks": ("conv",), "fc": ("group:blocks",), "output": ("fc",),
    }  # fmt: skip
    assert seen(drawing, {"blocks", "blocks.0"})["group:blocks.1"] == ("add",)
    assert seen(drawing, {"blocks.0"}) == seen(drawing, ())  # inside of one that is folded


def test_as_many_groups_are_open_as_there_is_room_for():
    drawing = drawing_of(NETWORK)
    assert opened(drawing, 4) == frozenset()
    assert opened(drawing, 6) == {"blocks"}
    assert opened(drawing, 7) == {"blocks", "blocks.0"}
    assert opened(drawing, 8) == {"blocks", "blocks.0", "blocks.1"}


def test_a_group_that_holds_the_same_as_one_inside_it_is_not_drawn_twice():
    deeper = tuple(
        replace(one, path=one.path.replace("blocks", "net.blocks")) if "blocks" in one.path else one
        for one in OPERATIONS
    )
    groups = drawing_of(replace(NETWORK, operations=deeper)).groups
    assert [group.path for group in groups] == ["net.blocks", "net.blocks.0", "net.blocks.1"]


def test_a_tree_of_modules_has_all_its_boxes_and_the_reason():
    tree = Network(
        tuple(Operation(name, "Linear", name) for name in ("a", "b")),
        (Place("weight", "a", "a"), Place("weight", "b", "b")),
        {"": "Net", "a": "Linear", "b": "Linear"},
        2,
        "it branches",
    )
    drawing = drawing_of(tree)
    assert ([box.id for box in drawing.boxes], drawing.reason) == (["a", "b"], "it branches")
