"""A `.pt2` file is read only if it holds tensors and a graph of operators, and nothing that could run."""

import json
import random
import zipfile

import pytest
import torch
from torch import nn

from core.delivery.formats.pt2_program import write
from core.delivery.formats.subject import CannotHoldError, Subject
from core.errors import SecateurError
from core.workload.programs.archive import INPUTS, PROGRAM, WEIGHTS, check_archive


class Sized(nn.Module):
    """Reads the number of examples, so that the graph has an expression of sizes."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 6)

    def forward(self, x):
        return self.fc(x).reshape(x.shape[0] * 2, 3).unflatten(0, (x.shape[0], -1)) + x.new_ones(x.shape[0], 2, 3)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    everything = torch.randn(1000, 4)  # two of which are traced with
    write(Subject(Sized().eval(), ((everything[:5],), (everything[:3],))), path)
    return path


@pytest.fixture
def changed(program, tmp_path):
    """Writes the archive anew with other entries; a value is bytes, or a change of a JSON document."""

    def change(entries=None, extra=()):
        path = tmp_path / "changed.pt2"
        with zipfile.ZipFile(program) as old, zipfile.ZipFile(path, "w") as new:
            for info in old.infolist():
                data = old.read(info)
                how = (entries or {}).get(info.filename.partition("/")[2])
                if isinstance(how, bytes):
                    data = how
                elif how is not None:
                    document = json.loads(data)
                    how(document)
                    data = json.dumps(document).encode()
                new.writestr(info.filename, data)
            for name, data in extra:
                new.writestr(name, data)
        return path

    return change


def test_what_we_write_is_read(program, changed):
    check_archive(program)
    check_archive(changed())


def test_what_we_write_holds_no_inputs_and_no_lines_of_source(program):
    with zipfile.ZipFile(program) as archive:
        (inputs,) = [info for info in archive.infolist() if info.filename.endswith(INPUTS)]
        text = archive.read(next(name for name in archive.namelist() if name.endswith(PROGRAM))).decode()
    assert inputs.file_size == 0
    assert program.stat().st_size < 20_000  # not the storage that two examples are a slice of
    assert "stack_trace" not in text
    assert __name__ not in text


def refused(path, *words):
    with pytest.raises(SecateurError) as error:
        check_archive(path)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_the_pickle_that_torch_itself_writes_is_refused(tmp_path):
    x = torch.randn(2, 4)
    torch.export.save(torch.export.export(Sized().eval(), (x,)), tmp_path / "theirs.pt2")
    refused(tmp_path / "theirs.pt2", "data/sample_inputs/model.pt", "might be a pickle or code")


def set_target(target):
    def change(document):
        document["graph_module"]["graph"]["nodes"][0]["target"] = target

    return change


@pytest.mark.parametrize(
    "target",
    [
        "torch.load",
        "torch.hub.load",
        "torch.ops.load_library",
        "torch.ops.aten.__class__.x",
        "torch.ops.aten.linear.__globals__",
        "torch.ops.mine.run.default",
        "_operator.methodcaller",
        "math.__loader__.load_module",
        "os.system",
        "torch.ops.aten.linear.default\n",
    ],
)
def test_targets_that_are_no_operators_are_refused(changed, target):
    refused(changed({PROGRAM: set_target(target)}), "as a program's target")


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true')", "open('x')", "Symbol('s0').__class__", "(lambda: 1)()", "exec('1')", "s0.name"],
)
def test_expressions_that_are_not_of_sizes_are_refused(changed, text):
    def change(document):
        document["graph_module"]["graph"]["sym_int_values"]["s"] = {"as_expr": {"expr_str": text, "hint": None}}

    refused(changed({PROGRAM: change}), "as a program's expr_str")


def test_guards_are_refused(changed):
    refused(changed({PROGRAM: lambda document: document.update(guards_code=["x"])}), "guards, which are Python")


def test_classes_in_specifications_are_refused(changed):
    def change(document):
        (call, *_) = document["graph_module"]["module_call_graph"]
        call["signature"]["out_spec"] = '[1, {"type": "mine.Output", "context": "null", "children_spec": []}]'

    refused(changed({PROGRAM: change}), "as a program's out_spec")


def test_pickled_weights_are_refused(changed):
    def change(document):
        next(iter(document["config"].values()))["use_pickle"] = True

    refused(changed({WEIGHTS: change}), "as a pickle, which is not read")


@pytest.mark.parametrize(
    "name",
    [
        "archive/data/weights/model.pt",
        "archive/data/constants/custom_obj_0",
        "archive/data/constants/opaque_obj_0",
        "archive/data/aotinductor/model/model.so",
        "archive/models/other.json",
        "archive/extra/notes.txt",
        "version",
        "elsewhere/models/model.json",
        "archive/models/model.json",  # a second one of that name
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_that_a_program_does_not_need_are_refused(changed, name):
    refused(changed(extra=[(name, b"{}")]), "refused" if "model.json" in name or "/" not in name else "not read")


@pytest.mark.parametrize("keep", [0, 1, 100, 3000, -1])
def test_a_truncated_archive_is_damaged(program, tmp_path, keep):
    (tmp_path / "short.pt2").write_bytes(program.read_bytes()[:keep])
    refused(tmp_path / "short.pt2", "export it again")


def test_any_changed_byte_is_read_or_refused_in_words(program, tmp_path):
    data, draw, path = program.read_bytes(), random.Random(0), tmp_path / "changed.pt2"
    n_refused = 0
    for _ in range(500):
        position = draw.randrange(len(data))
        path.write_bytes(data[:position] + bytes([data[position] ^ draw.randrange(1, 256)]) + data[position + 1 :])
        try:
            check_archive(path)
        except SecateurError:
            n_refused += 1
    assert n_refused > 100  # the others lie between entries, where nothing is read


class Subclassed(nn.Module):
    """A tensor subclass among its weights, which torch would pickle."""

    def __init__(self):
        super().__init__()
        from torch.testing._internal.two_tensor import TwoTensor

        self.weight = nn.Parameter(TwoTensor(torch.ones(4), torch.ones(4)))

    def forward(self, x):
        return x * self.weight


def test_a_model_that_only_a_pickle_could_hold_is_refused(tmp_path):
    subject = Subject(Subclassed().eval(), ((torch.randn(5, 4),), (torch.randn(3, 4),)))
    with pytest.raises(CannotHoldError, match=r"as a pickle|torch\.export cannot write it"):
        write(subject, tmp_path / "model.pt2")
