"""Folders of transformers as workloads: what they score is what plain transformers and torch give, task by task."""

import copy
import csv
import json
import math
import os
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.errors import SecateurError
from core.offline import SEALED
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.statistics.bootstrap import metric_estimate
from core.workload.loading import canonical_ref, load_workload
from tests.core.workload.sources import folders

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.model

N = 12
TEXTS = folders.sentences(N)


def table(path, head, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def json_lines(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def loaded(folder, data, **options):
    return load_workload(f"hf:{folder}", data=str(data), **options)


def dense_value(workload):
    """The metric as the product computes it, in batches of 5."""
    scores, weights, truths = [], [], []
    with torch.no_grad():
        for batch in workload.evaluation.batches(5):
            outputs = workload.model(*batch.inputs)
            reference = batch.labels if workload.metric.against == "labels" else outputs
            scores.append(workload.metric.score_batch(outputs, reference, len(batch)))
            if workload.metric.weigh is not None:
                weights.append(workload.metric.weigh(batch.labels))
            if workload.metric.truth is not None:
                truths.append(workload.metric.truth(batch.labels))
    scores = torch.cat(scores)
    if workload.metric.scale.aggregate == "exp_mean":
        weights = torch.cat(weights)
        return math.exp((scores * weights).sum() / weights.sum())
    if workload.metric.scale.aggregate == "span_f1":
        return metric_estimate(workload.metric.scale, scores.double().numpy(), torch.cat(truths).double().numpy()).value
    if truths:
        return scores, torch.cat(truths)
    return scores.mean().item()


def tokens_of(folder, *texts, **options):
    """One text, or pair, as the folder's own tokenizer gives it, unpadded."""
    found = transformers.AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt", **options)
    return {name: tensor for name, tensor in found.items() if name != "token_type_ids"}


def test_text_classification_is_accuracy_text_by_text(tmp_path):
    names = {0: "no", 1: "yes"}
    model = folders.save_bert(tmp_path / "m", id2label=names, label2id={"no": 0, "yes": 1})
    labels = ["yes" if i % 3 else "no" for i in range(N)]
    data = table(tmp_path / "d.csv", ["text", "label", "site"], zip(TEXTS, labels, ["a", "b"] * 6, strict=True))
    workload = loaded(tmp_path / "m", data)
    with torch.no_grad():
        chosen = [names[model(**tokens_of(tmp_path / "m", text)).logits.argmax().item()] for text in TEXTS]
    assert dense_value(workload) == pytest.approx(sum(a == b for a, b in zip(chosen, labels, strict=True)) / N)
    assert workload.class_names == ("no", "yes")
    assert workload.all_columns()["site"] == ("a", "b") * 6
    assert workload.all_columns()["class"] == tuple(labels)


def test_numbers_instead_of_names_mean_the_same(tmp_path):
    folders.save_bert(tmp_path / "m", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    by_name = table(tmp_path / "a.csv", ["text", "label"], [(t, ["no", "YES"][i % 2]) for i, t in enumerate(TEXTS)])
    by_number = table(tmp_path / "b.csv", ["text", "label"], [(t, i % 2) for i, t in enumerate(TEXTS)])
    one, other = loaded(tmp_path / "m", by_name), loaded(tmp_path / "m", by_number)
    assert one.evaluation.fingerprint() == other.evaluation.fingerprint()


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".tsv", ".parquet"])
def test_every_kind_of_file_gives_the_same_examples(tmp_path, ending):
    folders.save_bert(tmp_path / "m", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    rows = [{"text": text, "label": ["no", "yes"][i % 2]} for i, text in enumerate(TEXTS)]
    csv_file = table(tmp_path / "d.csv", ["text", "label"], [row.values() for row in rows])
    other = tmp_path / f"d{ending}"
    if ending == ".jsonl":
        json_lines(other, rows)
    elif ending == ".json":
        other.write_text(json.dumps(rows))
    elif ending == ".tsv":
        other.write_text("text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in rows))
    else:
        import pandas

        pandas.DataFrame(rows).to_parquet(other)
    a, b = loaded(tmp_path / "m", csv_file), loaded(tmp_path / "m", other)
    assert a.evaluation.fingerprint() == b.evaluation.fingerprint()


def test_a_folder_of_datasets_gives_the_same_examples(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    folders.save_bert(tmp_path / "m", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    labels = [i % 2 for i in range(N)]
    (tmp_path / "saved").mkdir()
    with pyarrow.OSFile(str(tmp_path / "saved" / "data.arrow"), "wb") as sink:
        made = pyarrow.table({"text": TEXTS, "label": labels})
        with pyarrow.ipc.new_stream(sink, made.schema) as writer:
            writer.write_table(made)
    (tmp_path / "saved" / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    csv_file = table(tmp_path / "d.csv", ["text", "label"], zip(TEXTS, labels, strict=True))
    a, b = loaded(tmp_path / "m", csv_file), loaded(tmp_path / "m", tmp_path / "saved")
    assert a.evaluation.fingerprint() == b.evaluation.fingerprint()


def test_one_output_is_a_number_and_ranks_are_compared(tmp_path):
    model = folders.save_bert(tmp_path / "m", num_labels=1)
    stars = [i * 0.5 for i in range(N)]
    data = table(tmp_path / "d.csv", ["text", "stars"], zip(TEXTS, stars, strict=True))
    scores, truth = dense_value(loaded(tmp_path / "m", data))
    with torch.no_grad():
        expected = torch.stack([model(**tokens_of(tmp_path / "m", text)).logits.squeeze() for text in TEXTS])
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    assert truth.tolist() == stars


def test_several_labels_at_a_time_take_a_column_each(tmp_path):
    model = folders.save_bert(
        tmp_path / "m", id2label={0: "x", 1: "y"}, label2id={"x": 0, "y": 1}, problem_type="multi_label_classification"
    )
    with torch.no_grad():  # logits of both signs, or they could be probabilities
        model.classifier.weight.mul_(20)
    model.save_pretrained(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["text", "x", "y"], [(text, i % 2, 1) for i, text in enumerate(TEXTS)])
    with torch.no_grad():
        logits = torch.cat([model(**tokens_of(tmp_path / "m", text)).logits for text in TEXTS])
    labels = torch.tensor([[i % 2, 1] for i in range(N)])
    assert dense_value(loaded(tmp_path / "m", data)) == pytest.approx(((logits > 0) == labels).float().mean().item())


def test_tokens_are_judged_on_the_first_part_of_each_word(tmp_path):
    model = folders.save_bert(tmp_path / "m", "BertForTokenClassification", id2label={0: "O", 1: "B"},
                              label2id={"O": 0, "B": 1})  # fmt: skip
    words = [text.split() for text in TEXTS]
    tags = [["OB"[(i + len(word)) % 2] for i, word in enumerate(one)] for one in words]
    data = json_lines(tmp_path / "d.jsonl", [{"tokens": w, "tags": t} for w, t in zip(words, tags, strict=True)])
    right = []
    for one, expected in zip(words, tags, strict=True):
        with torch.no_grad():
            logits = model(**tokens_of(tmp_path / "m", one, is_split_into_words=True)).logits[0]
        chosen = logits.argmax(-1)[1:-1]  # a word is a token, between [CLS] and [SEP]
        right.append([("OB"[c] == t) for c, t in zip(chosen.tolist(), expected, strict=True)])
    workload = loaded(tmp_path / "m", data)
    scores, weights = [], []
    with torch.no_grad():
        outputs = workload.model(*workload.evaluation.inputs)
    scores = workload.metric.score_batch(outputs, workload.evaluation.labels, N)
    assert scores.tolist() == pytest.approx([sum(one) / len(one) for one in right])
    weights = workload.metric.beside_scores(workload.evaluation.labels)
    assert weights.tolist() == [len(one) for one in right]


def test_words_behind_the_length_are_told(tmp_path):
    folders.save_bert(tmp_path / "m", "BertForTokenClassification", id2label={0: "O", 1: "B"},
                      label2id={"O": 0, "B": 1})  # fmt: skip
    words = [text.split() for text in TEXTS]
    rows = [{"tokens": one, "tags": ["O"] * len(one)} for one in words]
    data = json_lines(tmp_path / "d.jsonl", rows)
    n, lost = sum(map(len, words)), sum(max(0, len(one) - 2) for one in words)  # beside [CLS] and [SEP]
    assert lost
    notes = loaded(tmp_path / "m", data, length="4").notes
    assert f"words: {lost} of {n} lie beyond the length, or give no token, and are not judged" in notes
    assert not any(note.startswith("words:") for note in loaded(tmp_path / "m", data).notes)


def test_tags_of_spans_are_judged_by_their_f1(tmp_path):
    names = ("O", "B-X", "I-X")
    labels = dict(enumerate(names))
    model = folders.save_bert(tmp_path / "m", "BertForTokenClassification", id2label=labels,
                              label2id={name: i for i, name in labels.items()})  # fmt: skip
    words = [text.split() for text in TEXTS]
    tags = [[names[(i + len(word)) % 3] for i, word in enumerate(one)] for one in words]
    data = json_lines(tmp_path / "d.jsonl", [{"tokens": w, "tags": t} for w, t in zip(words, tags, strict=True)])
    n_said = n_true = n_both = 0
    for one, expected in zip(words, tags, strict=True):
        with torch.no_grad():
            chosen = model(**tokens_of(tmp_path / "m", one, is_split_into_words=True)).logits[0].argmax(-1)[1:-1]
        said, true = (_spans_of_one_type(column) for column in ([names[c] for c in chosen.tolist()], expected))
        n_said, n_true, n_both = n_said + len(said), n_true + len(true), n_both + len(said & true)
    assert "metric: span_f1" in loaded(tmp_path / "m", data).notes
    assert dense_value(loaded(tmp_path / "m", data)) == pytest.approx(2 * n_both / (n_said + n_true))
    assert loaded(tmp_path / "m", data, metric="token_accuracy").metric.scale.name == "token accuracy"


def _spans_of_one_type(tags):
    starts = [i for i, tag in enumerate(tags) if tag == "B-X" or (tag == "I-X" and tags[:i][-1:] in ([], ["O"]))]
    return {(i, next((j for j in range(i + 1, len(tags)) if tags[j] != "I-X"), len(tags))) for i in starts}


@pytest.mark.parametrize("metric", ["token_rouge_1", "token_rouge_l"])
def test_a_sequence_may_be_judged_by_the_tokens_it_has_in_common(metric, tmp_path):
    folders.save_t5(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["source", "target"], [[TEXTS[i], TEXTS[-i]] for i in range(6)])
    assert 0 <= dense_value(loaded(tmp_path / "m", data, metric=metric)) <= 1


def test_masked_tokens_are_the_same_in_every_load_and_every_text_has_one(tmp_path):
    folders.save_bert(tmp_path / "m", "BertForMaskedLM")
    (tmp_path / "d.txt").write_text("\n".join(TEXTS))
    workload, again = loaded(tmp_path / "m", tmp_path / "d.txt"), loaded(tmp_path / "m", tmp_path / "d.txt")
    assert workload.evaluation.fingerprint() == again.evaluation.fingerprint()
    ids, labels = workload.evaluation.inputs[0], workload.evaluation.labels
    assert (labels != -100).any(1).all()
    assert ((ids == folders.SPECIAL.index("[MASK]")) == (labels != -100)).all()
    assert dense_value(workload) > 1


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_perplexity_of_a_causal_model_is_that_of_its_own_shifted_loss_without_padding(tmp_path, family):
    model = folders.save_causal(tmp_path / "m", family)
    data = table(tmp_path / "d.csv", ["text"], [(text,) for text in TEXTS])
    total = tokens = 0
    for text in TEXTS:
        ids = tokens_of(tmp_path / "m", text)["input_ids"]
        with torch.no_grad():
            loss = model(ids, labels=ids).loss.item()
        total, tokens = total + loss * (ids.shape[1] - 1), tokens + ids.shape[1] - 1
    assert dense_value(loaded(tmp_path / "m", data)) == pytest.approx(math.exp(total / tokens), rel=1e-4)


def test_a_running_text_is_cut_into_blocks_that_leave_no_token_out(tmp_path):
    folders.save_causal(tmp_path / "m")
    (tmp_path / "d.txt").write_text("\n".join(folders.sentences(60)))
    workload = loaded(tmp_path / "m", tmp_path / "d.txt", length="8")
    ids, labels = workload.evaluation.inputs[0], workload.evaluation.labels
    assert ids.shape == labels.shape
    assert ids.shape[1] == 8
    assert (ids[:, 1:] == labels[:, :-1]).all()


def test_a_target_sequence_is_forced_upon_the_decoder_and_padding_is_left_out(tmp_path):
    model = folders.save_t5(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["source", "target"], zip(TEXTS, reversed(TEXTS), strict=True))
    total = tokens = 0
    for text, target in zip(TEXTS, reversed(TEXTS), strict=True):
        labels = tokens_of(tmp_path / "m", target)["input_ids"]
        with torch.no_grad():
            loss = model(**tokens_of(tmp_path / "m", text), labels=labels).loss.item()
        total, tokens = total + loss * labels.numel(), tokens + labels.numel()
    assert dense_value(loaded(tmp_path / "m", data)) == pytest.approx(math.exp(total / tokens), rel=1e-4)


def test_padding_of_targets_is_left_out_against_the_dense_model_too(tmp_path):
    model = folders.save_t5(tmp_path / "m")
    targets = [" ".join(text.split()[: 1 + i % 5]) for i, text in enumerate(TEXTS)]
    data = table(tmp_path / "d.csv", ["source", "target"], zip(TEXTS, targets, strict=True))
    workload = loaded(tmp_path / "m", data, metric="kl_from_dense")
    layer = [name for name, _ in model.named_modules() if name.endswith(".wo")][-1]
    plan = SparsityPlan((Cut(layer, "weight", 0.9, "magnitude"),))
    with Measurement(workload, None, "all") as measurement:
        measurement.replay()
        found, changed = measurement.measure(plan).metric, measurement.cutting.cut(plan)
    cut = copy.deepcopy(model)
    for name, tensor in changed.items():
        cut.get_parameter(name).data.copy_(tensor)
    right = []
    for text, target in zip(TEXTS, targets, strict=True):
        labels = tokens_of(tmp_path / "m", target)["input_ids"]
        with torch.no_grad():
            log_p, log_q = (
                one(**tokens_of(tmp_path / "m", text), labels=labels).logits[0].log_softmax(-1) for one in (model, cut)
            )
        right.append((log_p.exp() * (log_p - log_q)).sum(-1).mean().item())
    assert found.value == pytest.approx(sum(right) / N, rel=1e-4)


def test_choices_are_set_side_by_side(tmp_path):
    model = folders.save_bert(tmp_path / "m", "BertForMultipleChoice")
    rows = [(TEXTS[i], TEXTS[i - 1], TEXTS[i - 2], i % 2) for i in range(N)]
    data = table(tmp_path / "d.csv", ["question", "ending0", "ending1", "label"], rows)
    right = 0
    for question, *choices, label in rows:
        scores = []
        for choice in choices:
            one = {name: x.unsqueeze(1) for name, x in tokens_of(tmp_path / "m", question, choice).items()}
            with torch.no_grad():
                scores.append(model(**one).logits.item())
        right += int(scores[1] > scores[0]) == label
    assert dense_value(loaded(tmp_path / "m", data)) == pytest.approx(right / N)


def mean_pooled(model, folder, text):
    with torch.no_grad():
        return model(**tokens_of(folder, text)).last_hidden_state[0].mean(0)


def test_pairs_of_sentences_are_compared_by_the_cosine_of_their_means(tmp_path):
    model = folders.save_bert(tmp_path / "m", "BertModel")
    rows = [(TEXTS[i], TEXTS[i - 1], i / 3) for i in range(N)]
    data = table(tmp_path / "d.csv", ["sentence1", "sentence2", "score"], rows)
    workload = loaded(tmp_path / "m", data)
    scores, truth = dense_value(workload)
    expected = [
        F.cosine_similarity(mean_pooled(model, tmp_path / "m", a), mean_pooled(model, tmp_path / "m", b), dim=0).item()
        for a, b, _ in rows
    ]
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)
    assert truth.tolist() == pytest.approx([row[2] for row in rows])
    assert workload.metric.scale.name == "Spearman"


def test_sentences_alone_are_held_against_the_dense_model(tmp_path):
    model = folders.save_bert(tmp_path / "m", "BertModel")
    (tmp_path / "d.txt").write_text("\n".join(TEXTS))
    workload = loaded(tmp_path / "m", tmp_path / "d.txt")
    with torch.no_grad():
        found = workload.model(*workload.evaluation.inputs)
    expected = torch.stack([mean_pooled(model, tmp_path / "m", text) for text in TEXTS])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert workload.metric.against == "dense"


def sentence_parts(folder, pooling, *parts):
    """What sentence-transformers writes beside a model."""
    listed = [("", "Transformer"), ("1_Pooling", "Pooling"), *parts]
    (folder / "modules.json").write_text(
        json.dumps([{"idx": i, "name": str(i), "path": p, "type": f"sentence_transformers.models.{t}"}
                    for i, (p, t) in enumerate(listed)])
    )  # fmt: skip
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({pooling: True, "word_embedding_dimension": 16}))


@pytest.mark.parametrize("pooling", ["cls_token", "mean_tokens", "max_tokens", "lasttoken"])
def test_pooling_dense_and_length_are_as_the_folder_of_sentence_transformers_says(tmp_path, pooling):
    from safetensors.torch import save_file

    model, folder = folders.save_bert(tmp_path / "m", "BertModel"), tmp_path / "m"
    sentence_parts(folder, f"pooling_mode_{pooling}", ("2_Dense", "Dense"), ("3_Normalize", "Normalize"))
    (folder / "2_Dense").mkdir()
    torch.manual_seed(3)
    weight, bias = torch.randn(8, 16), torch.randn(8)
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense" / "model.safetensors")
    (folder / "2_Dense" / "config.json").write_text(
        json.dumps({"activation_function": "torch.nn.modules.activation.Tanh"})
    )
    (tmp_path / "d.txt").write_text("\n".join(TEXTS))
    workload = load_workload(f"st:{folder}", data=str(tmp_path / "d.txt"))
    with torch.no_grad():
        found = workload.model(*workload.evaluation.inputs)
    for row, text in zip(found, TEXTS, strict=True):
        with torch.no_grad():
            tokens = model(**tokens_of(folder, text)).last_hidden_state[0]
        pooled = {"cls_token": tokens[0], "mean_tokens": tokens.mean(0), "max_tokens": tokens.amax(0),
                  "lasttoken": tokens[-1]}[pooling]  # fmt: skip
        expected = F.normalize(torch.tanh(weight @ pooled + bias), dim=0)
        torch.testing.assert_close(row, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda f: (f / "modules.json").write_text("{"), "does not list its parts"),
        (lambda f: (f / "modules.json").write_text('[{"type": "a.CNN", "path": ""}]'), "must begin with a Transformer"),
        (lambda f: sentence_parts(f, "pooling_mode_mean_sqrt_len_tokens"), "one of pooling_mode_cls_token"),
        (lambda f: sentence_parts(f, "pooling_mode_mean_tokens", ("2_LSTM", "LSTM")), "ends with a LSTM"),
        (lambda f: sentence_parts(f, "pooling_mode_mean_tokens", ("../x", "Dense")), "lies outside"),
        (lambda f: sentence_parts(f, "pooling_mode_mean_tokens", ("2_Dense", "Dense")), "cannot be read"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "the tokenizer of m could not be loaded"),
    ],
)
def test_parts_that_are_not_known_or_broken_are_refused(tmp_path, spoil, expected):
    folders.save_bert(tmp_path / "m", "BertModel")
    sentence_parts(tmp_path / "m", "pooling_mode_mean_tokens")
    (tmp_path / "d.txt").write_text("\n".join(TEXTS))
    spoil(tmp_path / "m")
    with pytest.raises(SecateurError, match=expected):
        loaded(tmp_path / "m", tmp_path / "d.txt")


def test_pictures_are_what_the_folder_s_own_processor_makes(tmp_path):
    from PIL import Image

    model = folders.save_vit(tmp_path / "m")
    folders.save_pictures(tmp_path / "d")
    workload = loaded(tmp_path / "m", tmp_path / "d")
    right = 0
    for i, name in enumerate(("cat", "dog")):
        for file in sorted((tmp_path / "d" / name).iterdir()):
            small = Image.open(file).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
            pixels = (torch.from_numpy(np.array(small)).view(16, 16, 3).permute(2, 0, 1) / 255 - 0.5) / 0.5
            with torch.no_grad():
                right += model(pixels[None]).logits.argmax().item() == i
    assert dense_value(workload) == pytest.approx(right / 6)
    assert workload.class_names == ("cat", "dog")


def test_segmentation_is_judged_at_the_size_of_the_pictures(tmp_path):
    folders.save_segformer(tmp_path / "m")
    folders.save_masks(tmp_path / "d")
    workload = loaded(tmp_path / "m", tmp_path / "d")
    model = transformers.SegformerForSemanticSegmentation.from_pretrained(tmp_path / "m").eval()
    with torch.no_grad():
        small = model(workload.evaluation.inputs[0]).logits
        logits = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    right = (logits.argmax(1) == workload.evaluation.labels).float().mean().item()
    assert dense_value(workload) == pytest.approx(right)


@pytest.mark.parametrize("metric", ["pixel_accuracy", "iou"])
def test_pixels_of_a_mask_that_are_255_do_not_count(metric, tmp_path):
    from PIL import Image

    folders.save_segformer(tmp_path / "m")
    folders.save_masks(tmp_path / "d")
    for file in (tmp_path / "d" / "masks").iterdir():
        pixels = np.array(Image.open(file))
        pixels[:20] = 255
        Image.fromarray(pixels).save(file)
    workload = loaded(tmp_path / "m", tmp_path / "d", metric=metric)
    labels, (pixels,) = workload.evaluation.labels, workload.evaluation.inputs
    with torch.no_grad():
        chosen = workload.model(pixels).argmax(1)
    assert bool((labels[:, :16] < 0).all())
    assert bool((labels[:, 16:] >= 0).all())
    found = []
    for said, true in zip(chosen[:, 16:], labels[:, 16:], strict=True):
        shares = [
            (((said == c) & (true == c)).sum() / ((said == c) | (true == c)).sum()).item()
            for c in {*said.unique().tolist(), *true.unique().tolist()}
        ]
        hits = (said == true).float().mean().item()
        found.append(hits if metric == "pixel_accuracy" else sum(shares) / len(shares))
    assert dense_value(workload) == pytest.approx(sum(found) / len(found))


def test_masks_that_count_from_one_are_taken_as_the_processor_says(tmp_path):
    from PIL import Image

    folders.save_segformer(tmp_path / "m")
    settings = json.loads((tmp_path / "m" / "preprocessor_config.json").read_text())
    (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps({**settings, "do_reduce_labels": True}))
    folders.save_masks(tmp_path / "d", classes=4)  # 0 is nothing, 1 to 3 are the classes
    workload = loaded(tmp_path / "m", tmp_path / "d")
    files = sorted((tmp_path / "d" / "masks").iterdir())
    raw = np.stack([np.array(Image.open(file).resize((32, 32), resample=0)) for file in files]).astype(int)
    assert np.array_equal(workload.evaluation.labels.numpy(), np.where(raw == 0, -100, raw - 1))


def test_sounds_are_read_and_told_apart(tmp_path):
    folders.save_wav2vec(tmp_path / "m")
    folders.save_sounds(tmp_path / "d")
    workload = loaded(tmp_path / "m", tmp_path / "d")
    assert workload.evaluation.inputs[0].shape == (6, 800)
    assert workload.evaluation.labels.tolist() == [1, 1, 1, 0, 0, 0]  # folders in the order of names: no, yes
    folders.save_sounds(tmp_path / "slow", rate=4000)
    with pytest.raises(SecateurError, match=r"4000 Hz.*8000 Hz.*ffmpeg"):
        loaded(tmp_path / "m", tmp_path / "slow")


@pytest.mark.parametrize("kind", ["pictures", "masks", "sounds", "texts", "words"])
def test_data_that_do_not_fit_lie_in_a_file_and_are_the_same(kind, tmp_path, monkeypatch):
    folder, data = tmp_path / "m", tmp_path / "d.csv"
    if kind == "pictures":
        folders.save_vit(folder)
        folders.save_pictures(data)
    elif kind == "masks":
        folders.save_segformer(folder)
        folders.save_masks(data)
    elif kind == "sounds":
        folders.save_wav2vec(folder)
        folders.save_sounds(data)
    elif kind == "texts":
        folders.save_bert(folder, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
        table(data, ["text", "label"], [[text, ("no", "yes")[i % 2]] for i, text in enumerate(TEXTS)])
    else:
        folders.save_bert(folder, "BertForTokenClassification", id2label={0: "O", 1: "B"}, label2id={"O": 0, "B": 1})
        table(data, ["tokens", "tags"], [[text, " ".join("OB"[len(word) % 2] for word in text.split())]
                                         for text in TEXTS])  # fmt: skip
    here = loaded(folder, data)
    monkeypatch.setattr("core.workload.inputs.spilled.room", lambda: 100)
    there = loaded(folder, data)
    assert there.evaluation.fingerprint() == here.evaluation.fingerprint()
    assert [note for note in there.notes if note not in here.notes][-1].startswith("memory: the ")


def test_weights_that_would_be_drawn_at_random_are_refused(tmp_path):
    folders.save_bert(tmp_path / "m", "BertModel")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    with pytest.raises(SecateurError, match=r"not in m .*and would be drawn at random"):
        loaded(tmp_path / "m", data)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"architectures": ["BertOfNobodyForSequenceClassification"]}, "has no model BertOfNobody"),
        ({"architectures": ["AutoModelForSequenceClassification"]}, "has no model AutoModelForSequenceClassification"),
        ({"model_type": "roberta"}, "says model_type 'roberta'"),
        ({"num_attention_heads": 3}, "could not be loaded|shape"),
        ({"hidden_act": "sparkle"}, "could not be loaded"),
        ({"intermediate_size": 16}, "could not be loaded|another shape"),
        ({"num_hidden_layers": 3}, "drawn at random"),
    ],
)
def test_a_configuration_that_does_not_fit_its_weights_is_refused(tmp_path, change, expected):
    folders.save_bert(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    with pytest.raises(SecateurError, match=expected) as raised:
        loaded(tmp_path / "m", data)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    folders.save_bert(tmp_path / "m")
    path = tmp_path / "m" / "tokenizer.json"
    document = json.loads(path.read_text())
    document["model"]["vocab"] |= {f"word{i}": 100 + i for i in range(20)}
    path.write_text(json.dumps(document))
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    with pytest.raises(SecateurError, match="they are of two models"):
        loaded(tmp_path / "m", data)


def test_calibration_that_is_also_judged_is_refused_and_other_is_taken(tmp_path):
    folders.save_bert(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    other = table(tmp_path / "o.csv", ["text", "label"], [(text, 0) for text in folders.sentences(8, 9, 10, 14)])
    assert len(loaded(tmp_path / "m", data, calibration=str(other)).calibration) == 8
    assert len(loaded(tmp_path / "m", data, holdout=str(other)).holdout) == 8
    with pytest.raises(SecateurError, match="also calibration examples"):
        loaded(tmp_path / "m", data, calibration=str(data))
    with pytest.raises(SecateurError, match=r"holdout example.* are also evaluation examples"):
        loaded(tmp_path / "m", data, holdout=str(data))


def test_the_reference_says_everything_and_stays_what_it_is(tmp_path, monkeypatch):
    folders.save_bert(tmp_path / "my model")
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    monkeypatch.chdir(tmp_path)
    ref = canonical_ref("hf:./my model?metric=f1&data=d.csv")
    assert ref == f"hf:{tmp_path}/my model?data={data}&metric=f1"
    assert canonical_ref(ref) == ref
    monkeypatch.chdir("/")
    assert load_workload(ref).metric.scale.name == "macro F1"


def test_nothing_is_fetched_and_a_missing_library_is_named(tmp_path, monkeypatch):
    folders.save_bert(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    loaded(tmp_path / "m", data)
    assert {name: os.environ[name] for name in SEALED} == dict(SEALED)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SecateurError, match=r"need transformers .*pip install 'secateur\[hf\]'"):
        loaded(tmp_path / "m", data)


def test_timm_is_named_where_it_is_missing(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    folders.save_pictures(tmp_path / "d")
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    monkeypatch.setitem(sys.modules, "timm.data", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SecateurError, match=r"needs timm .*pip install 'secateur\[timm\]'"):
        load_workload("timm:resnet18", data=str(tmp_path / "d"), weights=str(tmp_path / "w.safetensors"))


def test_a_model_of_timm_takes_its_weights_and_its_own_pictures(tmp_path):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=2).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    folders.save_pictures(tmp_path / "d", size=40)
    workload = load_workload("timm:resnet18", data=str(tmp_path / "d"), weights=str(tmp_path / "w.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(workload.model(*workload.evaluation.inputs), model(*workload.evaluation.inputs))
    assert workload.evaluation.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_model_that_looks_at_padding_is_refused(tmp_path):
    """XLNet sums a text up by its last token, and is made for padding on the left."""
    torch.manual_seed(0)
    config = transformers.XLNetConfig(vocab_size=40, d_model=16, n_layer=1, n_head=4, d_inner=32)
    transformers.XLNetForSequenceClassification(config).save_pretrained(tmp_path / "m")
    folders.save_tokenizer(tmp_path / "m")
    data = table(tmp_path / "d.csv", ["text", "label"], [(text, i % 2) for i, text in enumerate(TEXTS)])
    with pytest.raises(SecateurError, match="tokens of padding: it looks at them"):
        loaded(tmp_path / "m", data)
