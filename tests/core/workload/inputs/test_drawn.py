"""Data as they are: loaders, datasets, lists, dictionaries; what cannot be read is refused in one line."""

import itertools
from collections import UserDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from core import Examples, SecateurError, accuracy, examples_from, metric, prune, sweep, token_accuracy, workload_of
from core.plans.plan import SparsityPlan

N = 40
X = torch.arange(N * 3).float().view(N, 3).sin()
Y = (X.sum(1) > 0).long()
OTHER = torch.arange(N).float()
LENGTHS = [2 + i % 5 for i in range(N)]
IDS = [list(range(1, length + 1)) for length in LENGTHS]


class Items(Dataset):
    """A map-style dataset of what a function gives."""

    def __init__(self, item, n=N):
        self.item, self.n = item, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.item(i)


class Stream(IterableDataset):
    def __init__(self, item, n=N):
        self.item, self.n = item, n

    def __iter__(self):
        return (self.item(i) for i in range(self.n))


class SizedStream(Stream):
    def __len__(self):
        return self.n


def pair(i):
    return X[i], Y[i]


SOURCES = {
    "tensors": lambda: (X, Y),
    "TensorDataset": lambda: TensorDataset(X, Y),
    "Dataset of numbers": lambda: Items(lambda i: (X[i].tolist(), int(Y[i]))),
    "Dataset of arrays": lambda: Items(lambda i: (X[i].numpy(), np.int32(Y[i]))),
    "DataLoader": lambda: DataLoader(TensorDataset(X, Y), batch_size=7),
    "DataLoader, last dropped into limit": lambda: DataLoader(TensorDataset(X, Y), batch_size=N),
    "DataLoader without batches": lambda: DataLoader(TensorDataset(X, Y), batch_size=None),
    "DataLoader of a stream": lambda: DataLoader(Stream(pair), batch_size=6),
    "list of examples": lambda: [pair(i) for i in range(N)],
    "list of lists": lambda: [[X[i], Y[i]] for i in range(N)],
    "generator": lambda: (pair(i) for i in range(N)),
    "stream": lambda: Stream(pair),
    "stream with a length": lambda: SizedStream(pair),
    "stream of one reused buffer": lambda: _reused(),
    "Examples": lambda: Examples(X, Y),
}


def _reused():
    buffer = torch.empty(3)
    for i in range(N):
        yield buffer.copy_(X[i]), int(Y[i])


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_every_source_of_pairs_gives_the_same_examples(make):
    found = examples_from(make())
    assert torch.equal(found.inputs[0], X)
    assert torch.equal(found.labels, Y)
    assert found.names is None
    assert len(examples_from(make(), limit=9)) == 9


NAMED = {
    "Dataset of dictionaries": lambda: Items(lambda i: {"x": X[i], "label": int(Y[i])}),
    "labels in the plural": lambda: Items(lambda i: {"labels": Y[i], "x": X[i]}),
    "dictionary and label": lambda: [({"x": X[i]}, int(Y[i])) for i in range(N)],
    "DataLoader": lambda: DataLoader(Items(lambda i: {"x": X[i], "labels": int(Y[i])}), batch_size=7),
    "a tokenizer's": lambda: [UserDict(x=X[i], labels=int(Y[i])) for i in range(N)],
    "columns": lambda: {"x": X, "labels": Y},
    "columns of arrays": lambda: {"x": X.numpy(), "label": Y.tolist()},
}


@pytest.mark.parametrize("make", NAMED.values(), ids=NAMED)
def test_dictionaries_give_inputs_by_name(make):
    found = examples_from(make())
    assert found.names == ("x",)
    assert torch.equal(found.inputs[0], X)
    assert torch.equal(found.labels, Y)


def test_several_inputs_come_before_the_label():
    found = examples_from([(X[i], OTHER[i], Y[i]) for i in range(N)])
    assert [tuple(tensor.shape) for tensor in found.tensors] == [(N, 3), (N,), (N,)]
    assert torch.equal(found.inputs[1], OTHER)


def test_inputs_alone_have_no_labels():
    found = examples_from(Items(lambda i: X[i]))
    assert found.labels.shape == (N, 0)
    assert torch.equal(found.inputs[0], X)


def test_columns_with_labels_beside_them():
    assert torch.equal(examples_from({"x": X, "y": OTHER}, labels=Y).labels, Y)
    found = examples_from({"x": X, "y": Y, "text": ["a"] * N}, labels="y", inputs=("x",))
    assert (found.names, found.labels.tolist()) == (("x",), Y.tolist())


def _tokens(i):
    return {"input_ids": IDS[i], "attention_mask": [1] * LENGTHS[i], "label": int(Y[i])}


def test_lengths_that_vary_are_padded_where_a_mask_says_what_is_padding():
    found = examples_from(Items(_tokens))
    ids, mask = found.inputs
    assert ids.shape == mask.shape == (N, 6)
    for i in range(N):
        assert ids[i, : LENGTHS[i]].tolist() == IDS[i]
        assert mask[i].tolist() == [1] * LENGTHS[i] + [0] * (6 - LENGTHS[i])


def test_batches_of_other_lengths_are_padded_to_one_and_labels_of_tokens_to_none():
    def collate(items):
        longest = max(len(item["input_ids"]) for item in items)

        def padded(key, fill):
            return torch.tensor([item[key] + [fill] * (longest - len(item[key])) for item in items])

        return {"input_ids": padded("input_ids", 0), "attention_mask": padded("attention_mask", 0),
                "labels": padded("labels", -100)}  # fmt: skip

    items = Items(lambda i: {"input_ids": IDS[i], "attention_mask": [1] * LENGTHS[i], "labels": IDS[i]})
    found = examples_from(DataLoader(items, batch_size=3, collate_fn=collate))
    whole = collate([items[i] for i in range(N)])
    assert torch.equal(found.inputs[0], whole["input_ids"])
    assert torch.equal(found.inputs[1], whole["attention_mask"])
    assert torch.equal(found.labels, whole["labels"])
    one_by_one = examples_from(items)
    assert torch.equal(one_by_one.labels, whole["labels"])


def test_whether_items_are_batches_is_told_by_what_the_metric_wants():
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    model = nn.Linear(3, 2)
    assert torch.equal(workload_of(model, batches, "accuracy").evaluation.labels, Y)
    assert torch.equal(examples_from(batches, batched=True).inputs[0], X)
    tagged = [(torch.zeros(5, 3), torch.zeros(5).long()) for _ in range(4)]
    assert workload_of(model, tagged, token_accuracy()).evaluation.labels.shape == (4, 5)
    with pytest.raises(SecateurError, match=r"one example or a batch\? its label has shape \(20,\): say batched=True"):
        examples_from(batches)
    with pytest.raises(SecateurError, match=r"one example or a batch\? there are no labels"):
        examples_from([X[:20], X[20:]])


def _random(i):
    return X[i] + torch.rand(3), Y[i]


CHANGING = {
    "Dataset": lambda: Items(_random),
    "stream": lambda: Stream(_random),
    "DataLoader": lambda: DataLoader(Items(_random), batch_size=5),
    "a sampler of one's own": lambda: DataLoader(TensorDataset(X, Y), batch_size=5, sampler=_Shuffled()),
    "a stream in another order": lambda: Stream(lambda i: pair(int(torch.randint(N, ())))),
}


class _Shuffled:
    def __iter__(self):
        return iter(torch.randperm(N).tolist())

    def __len__(self):
        return N


@pytest.mark.parametrize("make", CHANGING.values(), ids=CHANGING)
def test_items_that_change_are_found(make):
    with pytest.raises(
        SecateurError, match=r"is another when it is drawn again .* shuffle=False and random transforms"
    ):
        examples_from(make())


def test_a_loader_that_shuffles_is_found_before_it_is_read():
    loader = DataLoader(Items(lambda i: pytest.fail("it was read")), batch_size=5, shuffle=True)
    with pytest.raises(SecateurError, match=r"the DataLoader shuffles.*shuffle=False"):
        examples_from(loader)


class Picture:
    def getpixel(self, at):
        return 0


REFUSED = {
    "None": (lambda: None, "iterable of .inputs, labels., .* got NoneType"),
    "text": (lambda: "test.csv", "got text"),
    "a number": (lambda: 3, "got int"),
    "one tensor": (lambda: X, "the data are one tensor: inputs or labels"),
    "an empty list": (list, "the data are empty"),
    "an empty loader": (lambda: DataLoader(TensorDataset(X[:0], Y[:0])), "the data are empty"),
    "an empty item": (lambda: [()], "item 0 of the data is empty"),
    "None among items": (lambda: [pair(0), None], "input of item 1 of the data must be a number or a tensor, got None"),
    "strings": (lambda: [("a sentence", 1)], "input 0 of item 0 .* got 'a sentence'; tokenize text"),
    "text by name": (lambda: Items(lambda i: {"text": "a", "label": 1}), "'text' of item 0 .* .inputs="),
    "labels that are words": (lambda: [(X[0], "good")], "label of item 0 .* got 'good'; give labels as numbers"),
    "labels that are boxes": (lambda: [(X[0], {"boxes": X})], "label of item 0 .* got dict"),
    "pictures": (lambda: [(Picture(), 1)], r"got Picture; give the dataset a transform .*ToTensor"),
    "a list of words": (lambda: [(["a", "b"], 1)], "input 0 of item 0 .* got list"),
    "ragged lists": (lambda: [([[1, 2], [3]], 1)], "input 0 of item 0 .* got list"),
    "other shapes": (
        lambda: [(X[0], 1), (X[1, :2], 0)],
        r"input 0 of item 1 of the data has shape \(2,\), of item 0 \(3,\)",
    ),
    "other lengths without a mask": (
        lambda: Items(lambda i: {"input_ids": IDS[i], "label": 1}),
        "'input_ids' of item 1 .* attention_mask",
    ),
    "a mask of another length": (
        lambda: Items(lambda i: {"input_ids": IDS[i], "attention_mask": [1], "label": 1}),
        "'input_ids' of item 1 .* attention_mask",
    ),
    "other names": (lambda: [({"x": X[0]}, 1), ({"y": X[0]}, 1)], "item 1 of the data has y, item 0 has x"),
    "another number of inputs": (
        lambda: [pair(0), (X[1], X[1], 1)],
        r"item 1 of the data has 2 input\(s\), item 0 has 1",
    ),
    "a label that is missing": (lambda: [pair(0), (X[1],)], "item 1 of the data has no label, and item 0 has one"),
    "a dictionary and more": (lambda: [({"x": X[0]}, X[0], 1)], "has a dictionary and 1 input.s. beside it"),
    "batches of two sizes": (
        lambda: DataLoader([0], collate_fn=lambda _: (X, Y[:3])),
        r"batch 0 of the data has \(40, 3\), \(3,\)",
    ),
    "several datasets": (
        lambda: {"train": TensorDataset(X, Y), "test": TensorDataset(X, Y)},
        "several datasets, train, test",
    ),
    "flags and numbers": (lambda: [(True, 1), (2, 1)], "is True or False in some items"),
    "a dataset that fails": (
        lambda: Items(lambda i: [pair(0)][i]),
        r"item 1 of the data could not be read, IndexError.*data\[1\]",
    ),
    "a stream that fails": (lambda: (1 / i for i in (1, 0)), "item 1 of the data could not be read, ZeroDivisionError"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(make, message):
    with pytest.raises(SecateurError, match=message) as error:
        examples_from(make())
    assert "\n" not in str(error.value)


class Fails(Dataset):
    """As a folder of pictures of which one is broken."""

    def __len__(self):
        return 60

    def __getitem__(self, i):
        if i == 37:
            raise ValueError("picture37.png is cut short")
        return torch.zeros(3), 0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_fails_in_a_loader_is_named_as_in_its_dataset(workers):
    with pytest.raises(SecateurError) as error:
        examples_from(DataLoader(Fails(), batch_size=8, num_workers=workers))
    assert str(error.value) == (
        "batch 4 of the data could not be read, ValueError: picture37.png is cut short; does "
        "next(itertools.islice(data, 4, None)) work?"
    )
    with pytest.raises(SecateurError, match=r"item 37 .*ValueError: picture37.png is cut short; does data\[37\] work"):
        examples_from(Fails())


@pytest.mark.parametrize("limit", [0, -1, True, "all", 2.5])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(SecateurError, match="limit must be a whole number of examples"):
        examples_from((X, Y), limit=limit)


def test_names_that_are_not_there_are_refused():
    with pytest.raises(SecateurError, match="no labels 'class'; by name they have x, y"):
        examples_from({"x": X, "y": Y}, labels="class")
    with pytest.raises(SecateurError, match="have no 'ids'; by name they have x, y"):
        examples_from({"x": X, "y": Y}, labels="y", inputs=("ids",))


def test_what_does_not_end_is_refused_when_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("core.workload.inputs.spilled.free_memory", lambda device: 10_000)
    endless = ((torch.zeros(100), 1) for _ in itertools.count())
    with pytest.raises(SecateurError, match=r"do not fit into memory: 13 items take .* say it with limit="):
        examples_from(endless)


def test_one_line_from_model_and_loader_to_a_map(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    report = sweep(
        model, DataLoader(TensorDataset(X, Y), batch_size=16), metric="accuracy", workspace=tmp_path, sparsities=(0.5,)
    )
    assert report.dense.value == pytest.approx((model(X).argmax(1) == Y).float().mean().item())
    cell = next(cell for cell in report.cells if cell.cut.target == "2")
    with torch.no_grad():
        weight = model[2].weight.clone()
        model[2].weight.view(-1)[weight.abs().flatten().argsort(stable=True)[:8]] = 0
        by_hand = (model(X).argmax(1) == Y).float().mean().item()
    assert cell.metric.value == pytest.approx(by_hand)


def test_a_workload_of_a_model_takes_the_loaders_batch_size_and_other_fields():
    made = workload_of(
        nn.Linear(3, 2), DataLoader(TensorDataset(X, Y), batch_size=16), accuracy(), class_names=("a", "b")
    )
    assert (made.name, made.batch_size, made.class_names) == ("Linear", 16, ("a", "b"))
    assert workload_of(nn.Linear(3, 2), (X, Y), "accuracy", name="mine").batch_size == 250
    assert prune(made, SparsityPlan()).measurement.dense.n == N


def test_a_model_without_data_or_metric_is_told_so(hand, tmp_path):
    with pytest.raises(SecateurError, match=r'a model needs data: core.sweep\(model, loader, metric="accuracy"\)'):
        sweep(nn.Linear(3, 2), workspace=tmp_path)
    with pytest.raises(SecateurError, match="a model needs a metric"):
        sweep(nn.Linear(3, 2), (X, Y), workspace=tmp_path)
    with pytest.raises(SecateurError, match="belong to a model; a workload has its own"):
        sweep(hand, (X, Y), workspace=tmp_path)
    with pytest.raises(SecateurError, match=r"expected a model, a torch.nn.Module, and its data; got list"):
        sweep([], (X, Y), "accuracy", workspace=tmp_path)
    with pytest.raises(SecateurError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        workload_of(nn.Linear(3, 2), (X, Y), "acuracy")


def test_metrics_by_name_are_what_their_functions_give():
    from core.workload.metrics.by_name import ALSO, METRICS

    for name, function in METRICS.items():
        assert metric(name).fingerprint() == function().fingerprint()
    assert all(name in METRICS for name in ALSO.values())
    assert metric("top_5").scale.name == metric("Top-5 accuracy").scale.name == "top-5 accuracy"
    assert metric("MSE").scale.name == "squared error"
    assert metric(own := accuracy()) is own
    with pytest.raises(SecateurError, match=r"got accuracy; call the function: accuracy\(\)"):
        metric(accuracy)
    with pytest.raises(SecateurError, match="no metric None; name the one"):
        metric(None)
