"""What a `.pt2` that somebody else made may not do to whoever verifies it: no operator reaches beyond the tensors."""

import json
import zipfile

import pytest
import torch
from torch import nn

from core.delivery.formats.pt2_program import write
from core.delivery.formats.subject import Subject
from core.errors import SecateurError
from core.workload.programs.archive import PROGRAM, check_archive


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program of one layer, as exported."""
    path = tmp_path_factory.mktemp("gate") / "model.pt2"
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    write(Subject(nn.Sequential(nn.Linear(3, 2), nn.GELU(approximate="tanh")).eval(), ((x,),)), path)
    return path


def changed(program, folder, change):
    """A copy whose program was changed by somebody who seals what he makes."""
    path = folder / "changed.pt2"
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, change(data.decode()).encode() if info.filename.endswith(PROGRAM) else data)
    return path


def test_a_program_as_exported_passes(program, tmp_path):
    check_archive(program)
    check_archive(changed(program, tmp_path, lambda text: text))


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",  # maps any file, and in-place operators write into it
        "torch.ops.aten.save.default",  # writes a pickle to any place
        "torch.ops.aten._print.default",
        "torch.ops.higher_order.triton_kernel_wrapper_functional",
        "torch.ops.higher_order.inductor_compiled_code",
        "torch.os.system",
        "torch.load",
        "torch.hub.load",
        "_operator.methodcaller",
        "builtins.eval",
    ],
)
def test_an_operator_that_reaches_outside_is_refused(program, tmp_path, target):
    path = changed(program, tmp_path, lambda text: text.replace("torch.ops.aten.gelu.default", target))
    with pytest.raises(SecateurError, match="refused"):
        check_archive(path)


@pytest.mark.parametrize("text", ["/etc/passwd", "../model.safetensors", "C:\\x", "a/b"])
def test_a_path_is_no_argument_of_an_operator(program, tmp_path, text):
    assert '"tanh"' in zipfile.ZipFile(program).read(f"archive/{PROGRAM}").decode()
    path = changed(program, tmp_path, lambda document: document.replace('"tanh"', json.dumps(text)))
    with pytest.raises(SecateurError, match="as_string"):
        check_archive(path)


@pytest.mark.parametrize("text", ["__import__('os')", "9**9**9", "2**99999", "((9**9)**9)**9", "s77.evalf(9)", "f(s1)"])
def test_an_expression_that_calls_or_never_ends_is_refused(program, tmp_path, text):
    def change(document):
        at = document.index('"expr_str": "') + len('"expr_str": "')
        return document[:at] + text + document[document.index('"', at) :]

    with pytest.raises(SecateurError, match="expr_str"):
        check_archive(changed(program, tmp_path, change))
