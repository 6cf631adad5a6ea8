"""Drafts of a process that was killed are removed by whoever writes there next; those of the living stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.drafted import as_if_made_here, draft_beside, remove_orphans, scratch
from core.errors import SecateurError

MAKE = "import sys, os; from pathlib import Path; from core.drafted import draft_beside\n" \
    "print(draft_beside(Path(sys.argv[1]), folder=sys.argv[2] == 'folder'))"  # fmt: skip


SCRATCH = "import os; from core.drafted import scratch\nwith scratch() as folder:\n" \
    "    (folder / 'weights').write_bytes(b'w'); print(folder, flush=True); os._exit(9)"  # fmt: skip


@pytest.mark.process
def test_a_scratch_folder_goes_with_its_block_and_that_of_a_dead_process_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = subprocess.run(
        [sys.executable, "-c", SCRATCH], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert killed.returncode == 9
    assert (Path(killed.stdout.strip()) / "weights").exists()
    with scratch() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_where_no_temporary_folder_can_be_made_that_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with (
        pytest.raises(SecateurError, match=r"gone \(No such file or directory\); make room .* `TMPDIR=/disk "),
        scratch(),
    ):
        pass


@pytest.mark.process
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_draft_of_a_dead_process_goes_and_nothing_else(tmp_path, kind):
    goal = tmp_path / ("bundle-3f2a" * 30 if kind == "file" else "bundle [1]")
    goal = goal.with_name(goal.name[:200])
    made = subprocess.run([sys.executable, "-c", MAKE, str(goal), kind], capture_output=True, text=True, check=True)
    orphan = made.stdout.strip()
    (tmp_path / "notes.draft").write_text("a person's")
    (tmp_path / ".mine-1-2.draft").write_text("somebody's")
    (tmp_path / f"{orphan.rpartition('/')[2]}.zip").write_text("of the draft")
    mine = draft_beside(goal, folder=True)
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, "notes.draft", ".mine-1-2.draft"}
    assert remove_orphans(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_draft_gets_the_rights_of_a_file_that_is_made_by_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        for folder in (True, False):
            draft = draft_beside(tmp_path / "goal", folder)
            as_if_made_here(draft)
            assert draft.stat().st_mode & 0o777 == (0o777 if folder else 0o666) & ~mask
    finally:
        assert os.umask(before) == mask
