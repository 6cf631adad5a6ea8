"""Workload files whose metric or data cannot be what they say: one clear line each, exit code 2."""

import pytest

from tests.core.cli.running import refused

pytestmark = pytest.mark.model

HEAD = """
import itertools
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
import core
from core.workload.inputs import spilled

IDS = torch.arange(40).view(10, 4) % 7
TAGS = IDS % 3
BIO = ("O", "B-A", "I-A")


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.fc = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, ids):
        return self.fc(self.embedding(ids))


class Items(Dataset):
    def __init__(self, make, n=30):
        self.make, self.n = make, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.make(i)


class Endless(IterableDataset):
    def __iter__(self):
        return ((torch.zeros(50), 0) for _ in itertools.count())


def workload():
    spilled.room = lambda: 200
    return {expression}
"""
METRICS = {
    "names as one text": ("core.span_f1('O B-A I-A')", "expects the names of the classes"),
    "names as numbers": ("core.span_f1((0, 1, 2))", "expects the names of the classes"),
    "labels without a name": ("core.span_f1(BIO[:2])", "was given the names of 2 classes, 0 to 1, and a label is 2"),
    "no names at all": ("'span_f1'", "needs the names of the classes, and the model has no config.id2label"),
    "average precision": ("'mAP'", "write core.Metric with a score per image"),
    "rouge of generated text": ("'rougeL'", "token_rouge_l compare"),
    "runs of no token": ("core.token_rouge(0)", "expects a number of tokens, 1 or 2, or 'l'"),
    "a translation's metric": ("'bleu'", "text is not generated here"),
}
DATA = {
    "a stream without end": ("Endless(), batched=False", "nothing says how many are still to come"),
    "a loader of one": ("DataLoader(Endless(), batch_size=5)", "nothing says how many are still to come"),
    "an item that breaks behind the memory": ("Items(lambda i: (torch.zeros(50), [0][i // 20]))",
                                              "item 20 of the data could not be read, IndexError"),
    "a shape that changes in the file": ("Items(lambda i: (torch.zeros(50 + i // 20), 0))",
                                         "input 0 of item 20 of the data has shape (51,)"),
    "a name that changes in the file": ("Items(lambda i: {'ab'[i // 20]: torch.zeros(50), 'labels': 0})",
                                        "item 20 of the data has b, item 0 has a"),
    "random items in the file": ("Items(lambda i: (torch.randn(50), 0))", "is another when it is drawn again"),
}  # fmt: skip


def file_of(place, expression):
    path = place / "mine.py"
    path.write_text(HEAD.replace("{expression}", expression))
    return path


@pytest.mark.parametrize("case", METRICS)
def test_a_metric_that_cannot_be_is_refused_in_one_line(tmp_path, case):
    said, expected = METRICS[case]
    file = file_of(tmp_path, f"core.workload_of(Tagger(), (IDS, TAGS), {said})")
    assert expected in refused("targets", file)


def test_labels_that_hold_no_span_are_refused_in_one_line(tmp_path):
    file = file_of(tmp_path, "core.workload_of(Tagger(), (IDS, TAGS * 0), core.span_f1(BIO))")
    assert "the labels of Tagger have no span, so that its F1 is 0 whatever" in refused("targets", file)


@pytest.mark.process
def test_a_model_of_other_classes_than_were_named_is_refused_in_one_line(tmp_path):
    file = file_of(tmp_path, "core.workload_of(Tagger(), (IDS, TAGS % 2), core.span_f1(BIO[:2]))")
    said = refused("sweep", file, "--workspace", tmp_path / "ws")
    assert "was given the names of 2 classes, and the model has 3" in said


@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_laid_in_a_file_are_refused_in_one_line(tmp_path, case):
    said, expected = DATA[case]
    file = file_of(tmp_path, f"core.workload_of(nn.Linear(50, 2), {said}, metric='accuracy')")
    assert expected in refused("targets", file)


def test_a_temporary_folder_that_is_none_is_refused_in_one_line(tmp_path, monkeypatch):
    file = file_of(tmp_path, "core.workload_of(nn.Linear(50, 2), Items(lambda i: (torch.zeros(50), 0)), 'accuracy')")
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    assert "no folder for temporary files lies on a disk, TMPDIR is /nowhere/at/all" in refused("targets", file)
