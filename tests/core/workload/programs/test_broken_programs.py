"""Programs and data that cannot be taken: one clear line each, exit code 2, and nothing in a file is run."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import load_workload
from core.errors import SecateurError
from core.workload.programs.archive import INPUTS, PROGRAM, WEIGHTS
from tests.core.cli.running import refused
from tests.core.workload.programs.nets import Cnn, Mlp, exported, write

pytestmark = pytest.mark.model
X = torch.zeros(8, 4)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    write("cnn", folder)
    return folder


def line_of(programs, tmp_path, model=None, data=None, words=()):
    """What a sweep says, looked at in this process: no worker, no run."""
    model = programs / "cnn.pt2" if model is None else model
    data = programs / "cnn.safetensors" if data is None else data
    return refused("sweep", f"pt2:{model}", "--data", data, *words, "--workspace", tmp_path / "ws")


def changed(programs, tmp_path, entries=None, drop=(), extra=(), compression=zipfile.ZIP_STORED):
    """The archive with other entries; a value is bytes, or a change of a JSON document."""
    path = tmp_path / "changed.pt2"
    with zipfile.ZipFile(programs / "cnn.pt2") as old, zipfile.ZipFile(path, "w", compression) as new:
        for info in old.infolist():
            name, data = info.filename.partition("/")[2], old.read(info)
            how = (entries or {}).get(name)
            if isinstance(how, bytes):
                data = how
            elif how is not None:
                document = json.loads(data)
                how(document)
                data = json.dumps(document).encode()
            if name not in drop:
                new.writestr(info.filename, data)
        for name, data in extra:
            new.writestr(name, data)
    return path


def pickled(config):
    next(iter(config["config"].values()))["use_pickle"] = True


def endless(config):
    meta = config["config"]["c1.weight"]["tensor_meta"]
    meta["sizes"], meta["strides"] = [{"as_int": 10**9}] * 4, [{"as_int": 0}] * 4


def other_operator(program):
    program["graph_module"]["graph"]["nodes"][0]["target"] = "os.system"


def code_in_sizes(program):
    for value in program["graph_module"]["graph"]["tensor_values"].values():
        if value["sizes"] and "as_expr" in value["sizes"][0]:
            value["sizes"][0]["as_expr"]["expr_str"] = "__import__('os').getcwd()"


def large_batch(program):
    for limits in program["range_constraints"].values():
        limits["min_val"] = 16


ARCHIVES = {
    "no archive": (lambda at, to: to.joinpath("x.pt2").write_bytes(b"no zip") and to / "x.pt2", "is no exported"),
    "cut off": (lambda at, to: to.joinpath("x.pt2").write_bytes((at / "cnn.pt2").read_bytes()[:900]) and to / "x.pt2",
                "is no exported program"),
    "a weight as a pickle": (lambda at, to: changed(at, to, {WEIGHTS: pickled}), "holds c1.weight as a pickle"),
    "an object beside": (lambda at, to: changed(at, to, extra=[("cnn/data/constants/custom_obj_0", b"x")]),
                         "holds 'data/constants/custom_obj_0', which might be a pickle or code"),
    "a weight that repeats a number": (lambda at, to: changed(at, to, {WEIGHTS: endless}), "which are not in the file"),
    "compiled code": (lambda at, to: changed(at, to, extra=[("cnn/data/aotinductor/model/a.so", b"x")]), "or code"),
    "an operator of another kind": (lambda at, to: changed(at, to, {PROGRAM: other_operator}), "says 'os.system'"),
    "code as a size": (lambda at, to: changed(at, to, {PROGRAM: code_in_sizes}), "might run code and is refused"),
    "compressed": (lambda at, to: changed(at, to, compression=zipfile.ZIP_DEFLATED), "compressed"),
    "no graph": (lambda at, to: changed(at, to, drop=(PROGRAM,)), "holds no program"),
    "a graph that is no JSON": (lambda at, to: changed(at, to, {PROGRAM: b"{"}), "is no exported program, or damaged"),
    "two archives in one": (lambda at, to: changed(at, to, extra=[("other/byteorder", b"little")]), "beside or twice"),
    "an old archive": (lambda at, to: changed(at, to, extra=[("serialized_state_dict.pt", b"x")]), "before 2.8"),
    "large batches alone": (lambda at, to: changed(at, to, {PROGRAM: large_batch}), "batches of 16 examples and more"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_broken_program_is_refused_in_one_line(programs, tmp_path, case):
    make, expected = ARCHIVES[case]
    assert expected in line_of(programs, tmp_path, make(programs, tmp_path))


DATA = {
    "another name": (lambda t: {"p": t["x"], "q": t["x"].clone(), "labels": t["labels"]}, "program takes x float32"),
    "another type": (lambda t: {**t, "x": t["x"].double()}, "is float64, and the program takes x as float32"),
    "another size": (lambda t: {**t, "x": t["x"][:, :, :5].contiguous()}, "the program takes x as (batch, 1, 8, 8)"),
    "fewer labels": (lambda t: {**t, "labels": t["labels"][:7].clone()}, "numbers of examples (labels 7, x 80)"),
    "no labels": (lambda t: {"x": t["x"]}, "holds no 'labels'"),
    "labels that are no classes": (lambda t: {**t, "labels": t["labels"].float()}, "say no metric; name one: --metric"),
    "no inputs": (lambda t: {"labels": t["labels"]}, "holds no inputs, and the program takes x"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_data_that_do_not_fit_are_refused_in_one_line(programs, tmp_path, case):
    make, expected = DATA[case]
    save_file(make(load_file(programs / "cnn.safetensors")), tmp_path / "d.safetensors")
    assert expected in line_of(programs, tmp_path, data=tmp_path / "d.safetensors")


def test_data_of_another_kind_are_refused_with_the_line_that_writes_them(programs, tmp_path):
    (tmp_path / "test.csv").write_text("x,label\n1,2\n")
    assert "safetensors.torch.save_file({'x': inputs" in line_of(programs, tmp_path, data=tmp_path / "test.csv")
    assert "not --length" in line_of(programs, tmp_path, words=("--length", "4"))


def test_a_program_named_as_a_file_is_told_how_it_is_named(programs, tmp_path):
    said = refused("sweep", programs / "cnn.pt2", "--workspace", tmp_path / "ws")
    assert "is an exported program; it is named pt2:" in said


class Choosing(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))


class Two(nn.Module):
    def forward(self, x, y):
        return x + y.sum()


SIZES = {
    "a fixed batch": (Cnn, (torch.zeros(4, 1, 8, 8),), (None,), "has a fixed batch: its input x is [4, 1, 8, 8]"),
    "two batches": (Two, (X, X), ({0: torch.export.Dim("a")}, {0: torch.export.Dim("b")}), "count examples apart"),
    "one of two": (Mlp, (torch.zeros(4, 5), torch.zeros(1, 12)), ({0: torch.export.Dim("a")}, None), "its input shift"),
}  # fmt: skip


@pytest.mark.parametrize("case", SIZES)
def test_a_program_that_takes_one_size_of_batch_is_refused_with_the_mend(programs, tmp_path, case):
    make, inputs, sizes, expected = SIZES[case]
    exported(make().eval(), inputs, tmp_path / "m.pt2", sizes)
    said = line_of(programs, tmp_path, tmp_path / "m.pt2")
    assert expected in said
    assert "torch.export.Dim('batch')" in said


def reference(tmp_path, model, labels=None):
    exported(model, (X,), tmp_path / "m.pt2")
    save_file({"x": torch.randn(8, 4), "labels": torch.arange(8) % 2}, tmp_path / "m.safetensors")
    return f"pt2:{tmp_path}/m.pt2?data={tmp_path}/m.safetensors"


def test_a_program_of_training_is_refused(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    with pytest.raises(SecateurError, match=r"exported in training \(aten.dropout.default\); export model.eval\(\)"):
        load_workload(reference(tmp_path, net))
    norm = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(SecateurError, match=r"export model.eval\(\)"):
        load_workload(reference(tmp_path, norm))


def test_a_program_that_chooses_is_refused(tmp_path):
    with pytest.raises(SecateurError, match=r"chooses what to do as it runs \(higher_order.cond\)"):
        load_workload(reference(tmp_path, Choosing().eval()))


def test_sample_inputs_and_guards_are_never_read(programs, tmp_path):
    """They stand in every file of torch.export.save: the one a pickle, the other Python."""
    path = changed(
        programs, tmp_path, {INPUTS: b"not even a pickle", PROGRAM: lambda d: d.update(guards_code=["1 / 0"])}
    )
    again = load_workload(f"pt2:{path}?data={programs}/cnn.safetensors")
    assert type(again.model.c1) is nn.Conv2d


def test_why_torch_cannot_load_one_is_said_in_one_line_and_nowhere_else(programs, tmp_path, caplog, capfd):
    def wrong_argument(program):
        program["graph_module"]["graph"]["nodes"][0]["inputs"][3]["arg"] = {"as_ints": -1}

    path = changed(programs, tmp_path, {PROGRAM: wrong_argument})
    with pytest.raises(
        SecateurError, match=r"cannot load changed.pt2 \(SerializeError: Failed .*; export it again"
    ) as said:
        load_workload(f"pt2:{path}?data={programs}/cnn.safetensors")
    assert "\n" not in str(said.value)
    assert "Traceback" not in caplog.text + capfd.readouterr().err


def test_outputs_that_differ_are_refused(programs, monkeypatch):
    from core.workload.programs import layers_again

    wrong = dict(layers_again.LAYERS)
    how = wrong["aten.linear.default"]
    wrong["aten.linear.default"] = layers_again.LayerOperation(how.reads, how.kind, lambda a: Doubled(96, 3))
    monkeypatch.setattr("core.workload.programs.turned_back.LAYERS", wrong)
    with pytest.raises(SecateurError, match="gives other outputs than the program on examples 0 to 63"):
        load_workload(f"pt2:{programs}/cnn.pt2?data={programs}/cnn.safetensors")


class Doubled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2
