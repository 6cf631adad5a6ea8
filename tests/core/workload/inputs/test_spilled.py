"""Data that do not fit into memory lie in a file, and are what they would be in memory."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from core import Examples, SecateurError, examples_from, pixel_accuracy, sweep, workload_of
from core.workload.inputs import spilled
from core.workload.inputs.spilled import Column, Columns, stacked
from core.workload.workload import Workload

N = 60


def small_room(monkeypatch, n_bytes=300, chunk=150):
    """As of a machine on which next to nothing is free."""
    monkeypatch.setattr(spilled, "room", lambda: n_bytes)
    monkeypatch.setattr(spilled, "CHUNK", chunk)


class Items(Dataset):
    """Items that are made when they are asked for; counts how often."""

    def __init__(self, make, n=N):
        self.make, self.n, self.asked = make, n, 0

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.asked += 1
        return self.make(i)


def values(i, *shape, dtype=torch.float32):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(i)) * 10).to(dtype)


def ids(i):
    n = 2 + i % 7
    return {"input_ids": torch.arange(n) + i, "attention_mask": torch.ones(n, dtype=torch.int64)}


KINDS = {
    "pairs": lambda i: (values(i, 3, 4), i % 2),
    "several inputs": lambda i: (values(i, 5), values(i, 2, dtype=torch.bfloat16), float(i)),
    "bytes": lambda i: (values(i, 7).abs().to(torch.uint8), torch.tensor(i % 3, dtype=torch.uint8)),
    "half and whole": lambda i: (values(i, 5, dtype=torch.float16 if i % 2 else torch.float64), i),
    "whole and real": lambda i: (torch.arange(4) if i % 3 else values(i, 4), i % 2 == 0),
    "by name": lambda i: {"a": values(i, 3), "b": values(i, 2).bool(), "labels": i % 4},
    "of many lengths": lambda i: {**ids(i), "labels": torch.arange(2 + i % 7)},
    "no labels": lambda i: {"a": values(i, 9)},
    "numbers": lambda i: (i, i % 2),
    "an input of nothing": lambda i: (values(i, 0), values(i, 6), i % 2),
    "maps of classes": lambda i: (values(i, 3, 4, 4), values(i, 4, 4).abs().long() % 3),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("batches", [None, 7])
def test_examples_on_disk_are_those_in_memory(make, batches, monkeypatch):
    def source():
        return Items(make) if batches is None else DataLoader(Items(make), batch_size=batches)

    if batches and make in (KINDS["of many lengths"], KINDS["half and whole"], KINDS["whole and real"]):
        pytest.skip("torch makes no batch of these")
    here = examples_from(source())
    small_room(monkeypatch)
    there = examples_from(source())
    assert (here.on_disk, there.on_disk) == (False, True)
    assert (there.names, there.padded) == (here.names, here.padded)
    for one, other in zip(here.tensors, there.tensors, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert torch.equal(one, other)
    assert there.fingerprint() == here.fingerprint()
    assert there.example_hashes() == here.example_hashes()
    some = torch.tensor([3, 0, 41])
    assert there.take(some).fingerprint() == here.take(some).fingerprint()
    assert not there.take(some).on_disk
    assert there.first(5).on_disk


def test_each_item_is_decoded_once_but_for_those_that_are_drawn_twice(monkeypatch):
    small_room(monkeypatch)
    source = Items(KINDS["pairs"])
    examples_from(source)
    assert source.asked == N + 32


def test_what_waits_in_memory_is_never_more_than_room_and_chunk(monkeypatch):
    small_room(monkeypatch, n_bytes=2000, chunk=800)
    columns = Columns(N)
    for i in range(N):
        columns.add({"a": values(i, 25)})
        part = columns.by_name["a"]
        waiting = sum(p.nbytes for p in part.parts[part._n_written :])
        assert waiting <= (2000 if not columns.on_disk else 800)
    assert columns.on_disk


def test_items_that_change_are_refused_on_disk_too(monkeypatch):
    small_room(monkeypatch)
    torch.manual_seed(0)
    with pytest.raises(SecateurError, match=r"item 0 of the data is another when it is drawn again"):
        examples_from(Items(lambda i: (torch.randn(20), 0)))
    asked = []
    with pytest.raises(SecateurError, match=r"item \d+ of the data is another"):
        examples_from(Items(lambda i: (asked.append(i), (torch.full((20,), float(len(asked) > N + 20)), 0))[1]))


def test_other_shapes_and_names_are_refused_on_disk_too(monkeypatch):
    small_room(monkeypatch)
    with pytest.raises(SecateurError, match=r"input 0 of item 50 of the data has shape \(21,\), of item 0 \(20,\)"):
        examples_from(Items(lambda i: (torch.zeros(20 + (i == 50)), 0)))
    with pytest.raises(SecateurError, match="item 50 of the data has b, item 0 has a"):
        examples_from(Items(lambda i: {"b" if i == 50 else "a": torch.zeros(20)}))
    with pytest.raises(SecateurError, match="item 50 of the data has no label"):
        examples_from(Items(lambda i: {"a": torch.zeros(20), **({} if i == 50 else {"labels": 1})}))


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))


def test_a_sweep_is_the_same_and_reads_its_evidence_back(tmp_path, monkeypatch):
    source = Items(KINDS["pairs"])
    options = {"metric": "accuracy", "workspace": tmp_path, "sparsities": (0.5,), "preview": False}
    before = sweep(net(), source, **options)
    small_room(monkeypatch)
    assert workload_of(net(), source, "accuracy").notes[-1].startswith("memory: the evaluation data, 0.00 GB, lie in")
    after = sweep(net(), source, **options)
    assert after.dense == before.dense
    assert [cell.metric for cell in after.cells] == [cell.metric for cell in before.cells]
    elsewhere = sweep(net(), source, **{**options, "workspace": tmp_path / "other"})
    assert [cell.drop for cell in elsewhere.cells] == [cell.drop for cell in before.cells]
    assert [cell.evidence for cell in elsewhere.cells] == [cell.evidence for cell in before.cells]


def test_examples_without_labels_are_left_out_on_disk(monkeypatch):
    def item(i):
        return values(i, 3, 4, 4), torch.full((4, 4), -100) if i % 4 == 0 else values(i, 4, 4).abs().long() % 3

    here = Workload("one", nn.Conv2d(3, 3, 1), examples_from(Items(item)), pixel_accuracy())
    small_room(monkeypatch)
    there = Workload("two", nn.Conv2d(3, 3, 1), examples_from(Items(item)), pixel_accuracy())
    assert there.evaluation.on_disk
    assert there.n_ignored == here.n_ignored == N // 4
    assert there.evaluation.fingerprint() == here.evaluation.fingerprint()


def test_writing_into_an_example_changes_no_file(monkeypatch):
    small_room(monkeypatch)
    found = examples_from(Items(KINDS["pairs"]))
    before = found.fingerprint()
    batch = next(found.batches(4))
    batch.inputs[0].zero_()
    assert found.fingerprint() == before


def test_a_stream_may_lie_on_disk_where_its_end_is_said(monkeypatch):
    small_room(monkeypatch)

    class Stream(IterableDataset):
        def __iter__(self):
            return ((torch.full((20,), float(i)), i) for i in range(10**9))

    assert len(examples_from(Stream(), batched=False, limit=70)) == 70
    with pytest.raises(SecateurError, match="nothing says how many are still to come"):
        examples_from(Stream(), batched=False)
    with pytest.raises(SecateurError, match="nothing says how many are still to come"):
        examples_from(DataLoader(Stream(), batch_size=4))


@pytest.mark.parametrize("names", [{"TMPDIR": "/dev/shm"}, {"TMPDIR": "/nowhere"}, {}])
def test_a_folder_in_memory_or_that_is_none_is_refused(names, monkeypatch):
    small_room(monkeypatch)
    monkeypatch.delenv("TMPDIR", raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(spilled, "_system", lambda place: "tmpfs")
    with pytest.raises(SecateurError, match=r"nor into a file: no folder for temporary files lies on a disk.*TMPDIR="):
        examples_from(Items(KINDS["pairs"]))


def test_too_full_a_disk_is_refused_before_it_is_full(monkeypatch):
    small_room(monkeypatch)
    usage = spilled.shutil.disk_usage("/")
    monkeypatch.setattr(spilled.shutil, "disk_usage", lambda place: usage._replace(free=spilled.LEFT + 2000))
    with pytest.raises(SecateurError, match=r"all 60 items take some 0.0 GB, and .* 1.1 GB free, of which 1 GB"):
        examples_from(Items(KINDS["pairs"]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(Items(KINDS["pairs"], 100_000), batch_size=8),
        lambda: ((values(i, 8, 3, 4), torch.arange(8) % 2) for i in range(10**6)),
        lambda: Items(KINDS["pairs"], 100_000),
    ],
    ids=["loader", "batches", "dataset"],
)
def test_only_what_a_limit_lets_come_needs_room(make, monkeypatch):
    small_room(monkeypatch)
    usage = spilled.shutil.disk_usage("/")
    monkeypatch.setattr(spilled.shutil, "disk_usage", lambda place: usage._replace(free=spilled.LEFT + 5000))
    batched = None if not hasattr(source := make(), "gi_frame") else True
    found = examples_from(source, limit=70, batched=batched)  # 70 · 56 bytes
    assert (len(found), found.on_disk) == (70, True)
    with pytest.raises(SecateurError, match=r"the first 400 examples take some 0.0 GB, and .* give fewer"):
        examples_from(make(), limit=400, batched=batched)


def test_a_disk_that_others_fill_meanwhile_is_refused(monkeypatch):
    small_room(monkeypatch, chunk=100)
    column = Column()
    column.to_disk()
    usage = spilled.shutil.disk_usage("/")
    monkeypatch.setattr(spilled.shutil, "disk_usage", lambda place: usage._replace(free=spilled.LEFT))
    column.append(values(0, 7))
    with pytest.raises(SecateurError, match=r"nor into a file: of the disk under .* 1.1 GB are free"):
        column.append(values(1, 25))


def test_a_file_has_no_name_so_that_nothing_is_left_behind(monkeypatch, tmp_path):
    small_room(monkeypatch)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(spilled, "_system", lambda place: "ext4")
    found, on_disk = stacked((values(i, 25) for i in range(N)), N)
    assert on_disk
    assert torch.equal(found, torch.stack([values(i, 25) for i in range(N)]))
    assert os.listdir(tmp_path) == []


def test_where_a_folder_lies_is_told_by_the_longest_mount(monkeypatch):
    class Mount:
        def __init__(self, mountpoint, fstype):
            self.mountpoint, self.fstype = mountpoint, fstype

    mounts = [Mount("/", "ext4"), Mount("/var", "btrfs"), Mount("/var/tmp", "tmpfs"), Mount("/var/t", "xfs")]
    monkeypatch.setattr(spilled.psutil, "disk_partitions", lambda all: mounts)
    assert spilled._system(Path("/var/tmp")) == "tmpfs"
    assert spilled._system(Path("/var")) == "btrfs"
    assert spilled._system(Path("/opt")) == "ext4"


def test_half_of_what_is_free_may_be_taken(monkeypatch):
    monkeypatch.setattr(spilled, "free_memory", lambda device: 10_000)
    assert spilled.room() == 5000


def test_examples_say_where_they_lie():
    assert not Examples(torch.zeros(3, 2)).on_disk
