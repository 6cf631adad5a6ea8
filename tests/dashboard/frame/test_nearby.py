"""Models and data that lie nearby, found without running or loading any of them."""

import os

from dashboard.frame.nearby import FOLDERS, Nearby, data_for, models, places


def test_workload_files_folders_and_programs_are_found_and_nothing_else(tmp_path):
    (tmp_path / "net.py").write_text("raise SystemExit  # never run\ndef workload():\n    pass\n")
    (tmp_path / "other.py").write_text("def helper():\n    workload()\n")
    bert = tmp_path / "models" / "bert"
    bert.mkdir(parents=True)
    (bert / "config.json").write_text("{}")
    (bert / "model.safetensors").write_bytes(b"")
    (tmp_path / "models" / "net.pt2").write_bytes(b"")
    for left_out in (".hidden", "venv", "site-packages"):
        (tmp_path / left_out).mkdir()
        (tmp_path / left_out / "w.py").write_text("def workload():\n    pass\n")
    assert models([tmp_path]) == (
        Nearby(tmp_path / "net.py", "workload"),
        Nearby(tmp_path / "models" / "net.pt2", "program"),
        Nearby(bert, "folder"),
    )


def test_data_are_tables_beside_a_folder_and_tensors_beside_a_program_but_no_file_of_the_model_itself(tmp_path):
    bert = tmp_path / "bert"
    bert.mkdir()
    for name in ("config.json", "tokenizer.json", "vocab.txt", "model.safetensors.index.json", "dev.csv"):
        (bert / name).write_text("")
    for name in ("test.csv", "notes.md", "x.safetensors", "net.pt2"):
        (tmp_path / name).write_text("")
    assert data_for(Nearby(bert, "folder")) == (tmp_path / "test.csv", bert / "dev.csv")
    assert data_for(Nearby(tmp_path / "net.pt2", "program")) == (tmp_path / "x.safetensors",)


def test_it_is_looked_where_somebody_said_where_it_was_started_beside_the_workspace_and_beside_known_models(
    tmp_path, monkeypatch
):
    for name in ("named", "here", "project", "known"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(FOLDERS, os.pathsep.join([str(tmp_path / "named"), str(tmp_path / "gone")]))
    found = places(tmp_path / "project" / ".secateur", ["fashion-vit", str(tmp_path / "known" / "net.py")])
    assert found == tuple(tmp_path / name for name in ("named", "here", "project", "known"))
