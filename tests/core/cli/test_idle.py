"""Nothing that was typed is passed over in silence: an option without effect beside the others is refused."""

import pytest

from core import SparsityPlan, sweep
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.usefixtures("own_folder")

IDLE = [
    (("plan", "--uniform", 0.5, "--align", "auto"), "--align", "give --channels with it"),
    (("plan", "--heads", 0.5, "--align", 8), "--align", "give --channels with it"),
    (("plan", "--pattern", "2:4", "--align", 8), "--align", "give --channels with it"),
    (("sweep", "--align", 8), "--align", "give --channels with it"),
    (("sweep", "--no-weights", "--blocks", "--sparsities", 0.5), "--sparsities", "heads and blocks go whole"),
    (("sweep", "--no-weights", "--criteria", "wanda"), "--criteria", "heads and blocks go whole"),
    (("profile", "--export-costs", "out", "--rounds", 9), "--rounds", "give --engines and --python with it"),
    (("profile", "--export-costs", "out", "--detach"), "--detach", "give --engines and --python with it"),
    (("profile", "--export-costs", "out", "--device", "cpu"), "--device", "give --engines and --python with it"),
    (("export", "plan.json", "out", "--format", "int8", "--dynamic", "batch"), "--dynamic", "ask for --format pt2"),
    (("recover", "--final", 0, "--spread", "lamp"), "--spread", "--final 0 only trains"),
    (("recover", "--epochs", 2, "--steps", 9), "--epochs", "--steps says how long"),
    (("tickets", "--epochs", 2, "--steps", 9), "--epochs", "--steps says how long"),
    (("recover", "--distillation", 0, "--temperature", 3), "--temperature", "--distillation 0 looks at none"),
    (("recover", "--validation", 0.2), "--validation", "give --patience 2"),
    (("show", "--compare", "--by", "class"), "--by", "--compare tells of every target as a whole"),
    (("compare", "--all", "3f2a"), "--all", "give --list with it"),
    (("verify", "--no-run", "--python", "litert=/opt/python"), "--python", "--no-run lets no engine read"),
]


@pytest.mark.parametrize(("words", "option", "mend"), IDLE, ids=[" ".join(map(str, words)) for words, _, _ in IDLE])
def test_an_option_without_effect_is_refused_with_what_it_needs(words, option, mend, net_file, tmp_path):
    (tmp_path / "cwd" / "plan.json").write_text(SparsityPlan().to_json())
    said = refused(words[0], net_file, *words[1:])
    assert f"{option} would have no effect: " in said
    assert mend in said


@pytest.mark.parametrize(
    "words",
    [
        ("pays", "plan.json", "--engines", "onnx", "--python", "litert=/opt/python"),
        ("profile", "--widths", "--engines", "onnx", "--python", "litert=/opt/python"),
        ("profile", "--export-costs", "out", "--engines", "onnx", "--python", "litert=/opt/python"),
        ("export", "plan.json", "out", "--format", "onnx", "--python", "litert=/opt/python"),
    ],
    ids=" ".join,
)
def test_an_interpreter_of_an_engine_that_is_not_asked_for_is_refused(words, net_file, tmp_path):
    (tmp_path / "cwd" / "plan.json").write_text(SparsityPlan().to_json())
    said = refused(words[0], net_file, *words[1:])
    assert "--python names litert, and --" in said
    assert "litert too, or leave it out" in said


@pytest.mark.model
def test_widths_of_channels_are_refused_where_no_channels_are_cut_and_honoured_where_they_are(net_file):
    sweep(str(net_file), channels=True, sparsities=(0.5,), workspace=".secateur")
    for words in (
        ("solve", "--left", 0.8), ("refine", "--left", 0.8), ("minimise", "--within", 1),
        ("frontier", "--engine", "eager", "--cost", "bytes"),
    ):  # fmt: skip
        said = refused(words[0], net_file, *words[1:], "--align", 4)
        assert "--align would have no effect: weight alone is cut, and it is of channels" in said
    solved = document_of("solve", net_file, "--cost", "parameters", "--left", 0.99, "--align", 4)
    assert [cut["sparsity"] for cut in solved["plan"]["cuts"]] == [0.5]  # 4 of 8 neurons
    assert secateur("solve", net_file, "--left", 0.8, "--align", 1).exit_code == 0  # any width: as without it
