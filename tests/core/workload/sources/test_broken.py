"""Broken folders, data, labels and configurations: one clear line each, exit code 2, without torch."""

import csv
import json
import shutil
import struct

import pytest

from core.errors import SecateurError
from core.workload.sources.reference import canonical
from core.workload.sources.registry import look
from tests.core.cli.running import refused

WIDTH = 16


def safetensors(shapes, spoil=lambda header: header):
    """Bytes of a file of zeros, written by hand; `spoil` gets its header."""
    header, end = {}, 0
    for name, shape in shapes.items():
        n = 4
        for size in shape:
            n *= size
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + n]}
        end += n
    text = json.dumps(spoil(header)).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


SHAPES = {
    "bert.embeddings.word_embeddings.weight": (40, WIDTH),
    "bert.encoder.layer.0.output.dense.weight": (WIDTH, 32),
    "bert.encoder.layer.0.output.dense.bias": (WIDTH,),
    "classifier.weight": (2, WIDTH),
}
CONFIG = {
    "architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_size": WIDTH, "vocab_size": 40,
    "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
    "id2label": {"0": "no", "1": "yes"},
}  # fmt: skip
ROWS = "text,label\na cat sees,yes\nthe dog eats,no\na small tree,yes\n"


@pytest.fixture
def place(tmp_path):
    """A folder that could be looked at, and data beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(safetensors(SHAPES))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 32}))
    (tmp_path / "test.csv").write_text(ROWS)
    return tmp_path


def line_of(place, *words, data="test.csv"):
    """What a sweep says, and nothing else: looked at in this process, no worker, no model."""
    given = () if data is None else ("--data", place / data)
    return refused("sweep", f"hf:{place / 'model'}", *given, *words, "--workspace", place / "ws")


def config(**changes):
    def spoil(place):
        settings = {**CONFIG, **changes}
        settings = {key: value for key, value in settings.items() if value is not ...}
        (place / "model" / "config.json").write_text(json.dumps(settings))

    return spoil


def file(name, content):
    def spoil(place):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def weights(spoil=lambda header: header, cut=None, shapes=SHAPES):
    return file("model/model.safetensors", safetensors(shapes, spoil)[:cut])


def without(name, *others):
    def spoil(place):
        (place / "model" / name).unlink()
        for other in others:
            other(place)

    return spoil


def entry(**changes):
    """A header with another entry for its first tensor."""
    return lambda header: {**header, "classifier.weight": {**header["classifier.weight"], **changes}}


def index(document, *files):
    def spoil(place):
        (place / "model" / "model.safetensors").unlink()
        (place / "model" / "model.safetensors.index.json").write_text(json.dumps(document))
        for name in files:
            (place / "model" / name).write_bytes(safetensors(SHAPES))

    return spoil


HEADS = {
    "token": config(architectures=["BertForTokenClassification"]),
    "mlm": config(architectures=["BertForMaskedLM"]),
    "causal": config(architectures=["GPT2LMHeadModel"], model_type="gpt2"),
    "choice": config(architectures=["BertForMultipleChoice"]),
    "seq2seq": config(architectures=["T5ForConditionalGeneration"], model_type="t5", is_encoder_decoder=True),
    "image": config(architectures=["ViTForImageClassification"], model_type="vit"),
    "audio": config(architectures=["Wav2Vec2ForSequenceClassification"], model_type="wav2vec2"),
    "masks": config(architectures=["SegformerForSemanticSegmentation"], model_type="segformer"),
    "plain": config(architectures=["BertModel"]),
    "number": config(id2label={"0": "score"}),
    "labels": config(problem_type="multi_label_classification"),
}

FOLDERS = {
    "no config": (without("config.json"), "has no file config.json"),
    "config is cut off": (file("model/config.json", '{"architectures": ['), "is no JSON"),
    "config is empty": (file("model/config.json", ""), "is no JSON"),
    "config is a list": (file("model/config.json", "[1]"), "must hold a JSON object, got list"),
    "config is a number": (file("model/config.json", "3"), "must hold a JSON object"),
    "config is null": (file("model/config.json", "null"), "must hold a JSON object"),
    "config is not UTF-8": (file("model/config.json", b"\xff\xfe{}"), "is no JSON"),
    "config is nested without end": (file("model/config.json", "[" * 100_000), "is no JSON"),
    "no architecture": (config(architectures=...), "must name one class"),
    "no architecture in the list": (config(architectures=[]), "must name one class"),
    "two architectures": (config(architectures=["BertModel", "BertForMaskedLM"]), "must name one class"),
    "architecture is text": (config(architectures="BertModel"), "must name one class"),
    "architecture is a number": (config(architectures=[3]), "must name one class"),
    "architecture with a dot": (config(architectures=["os.system"]), "must name one class"),
    "architecture with brackets": (config(architectures=["BertModel()"]), "must name one class"),
    "no model type": (config(model_type=...), "has no model_type"),
    "model type is a number": (config(model_type=7), "has no model_type"),
    "head of another task": (config(architectures=["BertForQuestionAnswering"]), "is for none of the tasks"),
    "head for training before": (config(architectures=["BertForPreTraining"]), "is for none of the tasks"),
    "an object detector": (config(architectures=["DetrForObjectDetection"]), "is for none of the tasks"),
    "a speech writer": (
        config(architectures=["WhisperForConditionalGeneration"], model_type="whisper"), "is for none of the tasks"
    ),
    "a bare vision model": (config(architectures=["ViTModel"], model_type="vit"), "is for none of the tasks"),
    "a bare speech model": (config(architectures=["Wav2Vec2Model"], model_type="wav2vec2"), "is for none of the tasks"),
    "code of its own": (config(auto_map={"AutoModel": "modeling.Mine"}), "code of its own (auto_map)"),
    "attention from a hub": (config(_attn_implementation="kernels-community/flash-attn"), "names code on a hub"),
    "attention of a part from a hub": (
        config(text_config={"attn_implementation": "someone/kernel"}), "names code on a hub"
    ),
    "code of the tokenizer's own": (
        file("model/tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["x.Y", null]}}'), "code of its own"
    ),
    "code of the processor's own": (
        file("model/preprocessor_config.json", '{"auto_map": {"AutoImageProcessor": "x.Y"}}'), "code of its own"
    ),
    "quantized": (config(quantization_config={"quant_method": "gptq"}), "are quantized"),
    "tokenizer settings are a list": (file("model/tokenizer_config.json", "[]"), "must hold a JSON object"),
    "tokenizer settings are cut off": (file("model/tokenizer_config.json", "{"), "is no JSON"),
    "no weights": (without("model.safetensors"), "has no weights"),
    "a pickle": (without("model.safetensors", file("model/pytorch_model.bin", b"x")), "weights_only=True"),
    "a checkpoint": (without("model.safetensors", file("model/last.ckpt", b"x")), "weights_only=True"),
    "a pt": (without("model.safetensors", file("model/best.pt", b"x")), "weights_only=True"),
    "a pth": (without("model.safetensors", file("model/best.pth", b"x")), "weights_only=True"),
    "an h5": (without("model.safetensors", file("model/tf_model.h5", b"x")), "convert it"),
    "flax": (without("model.safetensors", file("model/flax_model.msgpack", b"x")), "convert it"),
    "weights of another name": (
        without("model.safetensors", file("model/weights.safetensors", safetensors(SHAPES))), "rename weights"
    ),
    "an adapter alone": (
        without("model.safetensors", file("model/adapter_config.json", "{}")), "merge it first"
    ),
    "weights are empty": (file("model/model.safetensors", b""), "is no whole safetensors"),
    "weights are seven bytes": (file("model/model.safetensors", b"1234567"), "is no whole safetensors"),
    "weights are text": (file("model/model.safetensors", "version https://git-lfs"), "is no whole safetensors"),
    "weights are cut off": (weights(cut=-100), "is no whole safetensors"),
    "weights end in the header": (weights(cut=40), "is no whole safetensors"),
    "weights are too long": (file("model/model.safetensors", safetensors(SHAPES) + b"xx"), "is no whole safetensors"),
    "header says very much": (file("model/model.safetensors", struct.pack("<Q", 2**60) + b"{}"), "is no whole"),
    "header is no JSON": (file("model/model.safetensors", struct.pack("<Q", 4) + b"abcd"), "is no whole"),
    "header is a list": (file("model/model.safetensors", struct.pack("<Q", 2) + b"[]"), "is no whole"),
    "header holds nothing": (file("model/model.safetensors", struct.pack("<Q", 2) + b"{}"), "holds no tensors"),
    "a shape is negative": (weights(entry(shape=[-2, 16])), "no proper shape"),
    "a shape is text": (weights(entry(shape=["2", 16])), "is no whole safetensors"),
    "a shape is no list": (weights(entry(shape=3)), "is no whole safetensors"),
    "a shape is larger than its bytes": (weights(entry(shape=[2000, 16])), "its shape"),
    "a shape beyond all memory": (weights(entry(shape=[10**9, 10**9])), "its shape"),
    "an unknown dtype": (weights(entry(dtype="F7")), "is no whole safetensors"),
    "offsets run backwards": (weights(entry(data_offsets=[900, 100])), "is no whole safetensors"),
    "an entry without offsets": (weights(lambda header: {**header, "x": {"dtype": "F32", "shape": [1]}}), "no whole"),
    "an entry is null": (weights(lambda header: {**header, "x": None}), "is no whole"),
    "index is no JSON": (without("model.safetensors", file("model/model.safetensors.index.json", "{")), "is no JSON"),
    "index without a map": (index({"metadata": {}}), "weight_map"),
    "index maps to numbers": (index({"weight_map": {"a": 3}}), "weight_map"),
    "index is empty": (index({"weight_map": {}}), "weight_map"),
    "index leads up": (index({"weight_map": {"a": "../secret.safetensors"}}), "lies outside"),
    "index leads to the root": (index({"weight_map": {"a": "/etc/passwd"}}), "lies outside"),
    "index leads into a folder": (index({"weight_map": {"a": "sub/x.safetensors"}}), "lies outside"),
    "index names the folder": (index({"weight_map": {"a": "."}}), "lies outside"),
    "index names a file that is not there": (index({"weight_map": {"a": "a.safetensors"}}), "has no file a.safe"),
    "index names a pickle": (
        index({"weight_map": {"a": "a.bin"}}, "a.bin"), "may be a pickle"
    ),
    "index names a tensor that is not there": (
        index({"weight_map": {"zzz": "a.safetensors"}}, "a.safetensors"), "names zzz, which no file holds"
    ),
    "layers without end": (config(num_hidden_layers=10**6), "are of two models"),
    "a width without end": (config(hidden_size=10**9), "are of two models"),
    "words without end": (config(vocab_size=10**12), "are of two models"),
    "a hidden width without end": (config(intermediate_size=10**9), "are of two models"),
    "positions without end": (config(max_position_embeddings=10**12), "which no model has"),
    "layers are negative": (config(num_hidden_layers=-1), "must be a whole number"),
    "layers are text": (config(num_hidden_layers="six"), "must be a whole number"),
    "a width is a fraction": (config(hidden_size=16.5), "must be a whole number"),
    "a width is true": (config(hidden_size=True), "must be a whole number"),
    "positions are text": (config(max_position_embeddings="512"), "must be a whole number"),
    "id2label is a list": (config(id2label=["no", "yes"]), "must name the classes"),
    "id2label is empty": (config(id2label={}), "must name the classes"),
    "id2label begins at 1": (config(id2label={"1": "no", "2": "yes"}), "must name the classes"),
    "id2label has a hole": (config(id2label={"0": "no", "2": "yes"}), "must name the classes"),
    "id2label has no numbers": (config(id2label={"no": 0, "yes": 1}), "must name the classes"),
    "id2label names two alike": (config(id2label={"0": "no", "1": "no"}), "two classes alike"),
    "num_labels is text": (config(id2label=..., num_labels="2"), "num_labels"),
    "num_labels is 0": (config(id2label=..., num_labels=0), "num_labels"),
    "num_labels without end": (config(id2label=..., num_labels=10**12), "num_labels"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_a_broken_folder_is_refused_in_one_line(place, case):
    spoil, expected = FOLDERS[case]
    spoil(place)
    assert expected in line_of(place)


ROWS_OF = {
    "empty": ("", "must name every column"),
    "a header alone": ("text,label\n", "holds 0 row(s)"),
    "one row": ("text,label\na cat,yes\n", "holds 1 row(s)"),
    "a row too long": (ROWS + "a,b,c\n", "line 5 of test.csv has 3 field(s), its header 2"),
    "a row too short": (ROWS + "alone\n", "line 5 of test.csv has 1 field(s)"),
    "a quote without end": (ROWS + '"never,yes\n', "is no proper CSV"),
    "signs behind a quote": (ROWS + '"a"b,yes\n', "is no proper CSV"),
    "two columns alike": ("text,text\na,b\nc,d\n", "two columns"),
    "a column without name": ("text,\na,b\nc,d\n", "must name every column"),
    "semicolons": ("text;label\na;yes\nb;no\n", "one column"),
    "tabs": ("text\tlabel\na\tyes\nb\tno\n", "one column"),
    "null bytes": ("te\0xt,label\na,yes\nb,no\n", "null bytes"),
    "latin1": ("text,label\ncaf\xe9,yes\nb,no\n".encode("latin1"), "is not UTF-8"),
    "UTF-16": ("text,label\na,yes\n".encode("utf-16"), "is not UTF-8"),
    "a zip": (b"PK\x03\x04\x8c\x8c", "is not UTF-8"),
    "no text": ("id,label\n1,yes\n2,no\n", "which column of test.csv is the text?"),
    "names of its own": ("stars,said\n1,a cat\n0,a dog\n", "so: --columns text=said"),
    "a label of its own name": ("id,text,stars\n1,a cat,1\n2,a dog,0\n3,a cow,0\n", "so: --columns label=stars"),
    "no label": ("text,id\na,1\nb,2\n", "which column of test.csv is the label?"),
    "two texts": ("text,review,label\na,b,yes\nc,d,no\n", "could each be the text"),
    "two labels": ("text,label,class\na,yes,yes\nb,no,no\n", "could each be the label"),
    "two of a pair alone": ("premise,label\na,yes\nb,no\n", "is the second?"),
    "an empty text": ("text,label\na,yes\n,no\nb,no\n", "row 2 of test.csv: 'text' is empty"),
    "a blank text": ("text,label\na,yes\n   ,no\n", "row 2 of test.csv: 'text' is empty"),
    "an empty label": ("text,label\na,yes\nb,\n", "row 2 of test.csv: 'label' is ''"),
    "several unknown labels": ("text,label\na,yes\nb,maybe\nc,never\nd,maybe\n",
                               "'label' is 'maybe' (no class in 3 of 4: 'maybe' in 2, 'never'), and the classes"),
    "labels of another set": ("text,label\n" + "".join(f"t{i},c{i}\n" for i in range(9)),
                              "'label' is 'c0' (no class in 9 of 9: 'c0', 'c1', 'c2', … of 9 different), and"),
    "an unknown label": ("text,label\na,yes\nb,maybe\n", "'label' is 'maybe', and the classes of the model are no"),
    "a number too large": ("text,label\na,0\nb,2\n", "'label' is '2'"),
    "a negative number": ("text,label\na,0\nb,-1\n", "'label' is '-1'"),
    "half a class": ("text,label\na,0\nb,0.5\n", "'label' is '0.5'"),
    "no number at all": ("text,label\na,0\nb,nan\n", "'label' is 'nan'"),
    "without end": ("text,label\na,0\nb,inf\n", "'label' is 'inf'"),
    "names and numbers": ("text,label\na,yes\nb,0\n", "'label' is '0'"),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS_OF)
def test_a_broken_table_is_refused_in_one_line(place, case):
    content, expected = ROWS_OF[case]
    file("test.csv", content)(place)
    assert expected in line_of(place)


OTHER_FILES = {
    "lines.jsonl": ('{"text": "a", "label": "yes"}\n{"text": ', "line 2 of lines.jsonl is no JSON"),
    "list.jsonl": ("[1]\n[2]\n", "must be an object"),
    "others.jsonl": ('{"text": "a", "label": "yes"}\n{"text": "b"}\n', "differ in 'label'"),
    "numbers.jsonl": ('{"text": 3, "label": "yes"}\n{"text": 4, "label": "no"}\n', "must be text, got 3"),
    "nulls.jsonl": ('{"text": null, "label": "yes"}\n{"text": "b", "label": "no"}\n', "must be text, got None"),
    "lists.jsonl": ('{"text": "a", "label": ["yes"]}\n{"text": "b", "label": ["no"]}\n', "'label' is ['yes']"),
    "empty.jsonl": ("", "holds 0 row(s)"),
    "one.json": ('{"text": "a"}', "must hold a list of objects"),
    "words.json": ('["a", "b"]', "must be an object"),
    "cut.json": ('[{"text": "a"', "is no JSON"),
    "deep.json": ("[" * 100_000, "is no JSON"),
    "bad.parquet": ("PAR1 and no more", "is no Parquet"),
    "empty.parquet": ("", "is no Parquet"),
    "table.xlsx": ("x", "data in .xlsx is not read"),
    "table": ("x", "a file without ending"),
    "model.pkl": ("x", "data in .pkl is not read"),
    "only.txt": ("a\nb\n", "which column of only.txt is the label?"),
    "tabs.tsv": ("text,label\na,yes\nb,no\n", "one column"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_broken_file_of_another_kind_is_refused_in_one_line(place, name):
    content, expected = OTHER_FILES[name]
    file(name, content)(place)
    assert expected in line_of(place, data=name)


def saved(place, state, name="state.json"):
    (place / "saved").mkdir(exist_ok=True)
    (place / "saved" / name).write_text(state)


SAVED = {
    "no state": (lambda place: saved(place, "x", "other"), "without state.json"),
    "state is no JSON": (lambda place: saved(place, "{"), "is no JSON"),
    "state without files": (lambda place: saved(place, "{}"), "must name its Arrow files"),
    "state leads up": (lambda place: saved(place, '{"_data_files": [{"filename": "../x"}]}'), "name its Arrow files"),
    "a file is missing": (lambda place: saved(place, '{"_data_files": [{"filename": "a.arrow"}]}'), "cannot be read"),
    "an order of its own": (
        lambda place: saved(place, '{"_data_files": [{"filename": "a"}], "_indices_files": [1]}'), "flatten_indices"
    ),
    "several splits": (lambda place: saved(place, "{}", "dataset_dict.json"), "several splits"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAVED)
def test_a_broken_saved_dataset_is_refused_in_one_line(place, case):
    spoil, expected = SAVED[case]
    spoil(place)
    assert expected in line_of(place, data="saved")


def rows(head, *lines, name="test.csv"):
    def spoil(place):
        with (place / name).open("w", newline="") as out:
            csv.writer(out).writerows([head, *lines])

    return spoil


def lines(*objects):
    return file("data.jsonl", "\n".join(map(json.dumps, objects)))


def pictures(*names):
    def spoil(place):
        for name in names:
            file(f"photos/{name}", b"x")(place)
        (place / "photos").mkdir(exist_ok=True)

    return spoil


SPANS = {
    "classes that are no tags": ({"0": "no", "1": "yes"}, "got 'no'; rename the classes, or use token_accuracy()"),
    "tags in small letters": ({"0": "O", "1": "b-per"}, "got 'b-per'; rename the classes"),
    "a tag that lost its type": ({"0": "O", "1": "B-"}, "got 'B-'; rename the classes"),
    "outside alone": ({"0": "O"}, "there is only O; use token_accuracy()"),
    "outside in two ways": ({"0": "O", "1": "B-PER", "2": "OUT"}, "got 'OUT'"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPANS)
def test_classes_that_mark_no_spans_are_refused_in_one_line(place, case):
    names, expected = SPANS[case]
    config(architectures=["BertForTokenClassification"], id2label=names)(place)
    n = len(names)
    shapes = {**SHAPES, "classifier.weight": (n, WIDTH)}
    (place / "model" / "model.safetensors").write_bytes(safetensors(shapes))
    rows = [{"tokens": ["a"], "tags": [i % n]} for i in range(3)]
    (place / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert expected in line_of(place, "--metric", "span_f1", data="data.jsonl")


TASKS = {
    "tags of other number": ("token", lines({"tokens": ["a", "b"], "tags": ["no"]}, {"tokens": ["a"], "tags": ["no"]}),
                             "data.jsonl", "has 2 word(s) and 1 tag(s)"),
    "tags of another model": ("token", lines({"tokens": ["a"], "tags": ["B"]}, {"tokens": ["a"], "tags": ["no"]}),
                              "data.jsonl", "row 1 of data.jsonl: 'tags' is 'B'"),
    "a tag in a later row": ("token", lines({"tokens": ["a", "b", "a"], "tags": ["no", "no", "yes"]},
                                            {"tokens": ["a", "b"], "tags": ["no", "B"]}),
                             "data.jsonl", "row 2 of data.jsonl: 'tags' is 'B'"),
    "a tag, and which column": ("token", lines({"tokens": ["a"], "tags": ["B"]}, {"tokens": ["a"], "tags": ["no"]}),
                                "data.jsonl", "--columns tags=NAME"),
    "a word of nothing": ("token", lines({"tokens": ["a", ""], "tags": ["no", "no"]},
                                         {"tokens": ["a"], "tags": ["no"]}), "data.jsonl",
                          "row 1 of data.jsonl: word 2 is empty"),
    "lists as text": ("token", rows(["tokens", "tags"], ["['a', 'b']", "['no', 'no']"], ["['a', 'b']", "['no', 'no']"]),
                      "test.csv", "tokens are a list written as text"),
    "words and tags in lines": ("token", file("conll.txt", "a no\nb no\n\na no\n"), "conll.txt",
                                "(CoNLL) are not read"),
    "no words": ("token", lines({"tokens": [], "tags": []}, {"tokens": ["a"], "tags": ["no"]}), "data.jsonl",
                 "tokens must be words"),
    "words are numbers": ("token", lines({"tokens": [1], "tags": [0]}, {"tokens": [2], "tags": [0]}), "data.jsonl",
                          "tokens must be words"),
    "words are missing": ("token", rows(["text", "tags"], ["a", "no"], ["b", "no"]), "test.csv", "is the tokens?"),
    "texts to mask are missing": ("mlm", rows(["id", "n"], [1, 2], [3, 4]), "test.csv", "is the text?"),
    "texts to go on are missing": ("causal", rows(["id", "n"], [1, 2], [3, 4]), "test.csv", "is the text?"),
    "one line to go on": ("causal", file("one.txt", "a\n"), "one.txt", "holds 1 row(s)"),
    "a text of null bytes": ("causal", file("one.txt", "a\0\nb\n"), "one.txt", "null bytes"),
    "choices are missing": ("choice", rows(["question", "label"], ["a", 0], ["b", 1]), "test.csv", "is the choices?"),
    "choices of other number": ("choice", lines({"question": "a", "choices": ["x"], "label": 0},
                                                {"question": "a", "choices": ["x", "y"], "label": 0}), "data.jsonl",
                                "equally many choices"),
    "choices are texts": ("choice", rows(["question", "choices", "label"], ["a", "x y", 0], ["b", "x", 1]), "test.csv",
                          "equally many choices"),
    "the right one is not there": ("choice", rows(["question", "ending0", "ending1", "label"], ["a", "x", "y", 2],
                                                  ["b", "x", "y", 1]), "test.csv", "'label' is '2'"),
    "targets are missing": ("seq2seq", rows(["source", "id"], ["a", 1], ["b", 2]), "test.csv", "is the target?"),
    "sources are empty": ("seq2seq", rows(["source", "target"], ["", "x"], ["b", "y"]), "test.csv", "'source' is em"),
    "scores are words": ("plain", rows(["sentence1", "sentence2", "score"], ["a", "b", "high"], ["c", "d", "low"]),
                         "test.csv", "must be a number, got 'high'"),
    "labels of pairs are classes": ("plain", rows(["sentence1", "sentence2", "label"], ["a", "b", 0], ["c", "d", 2],
        ["e", "f", 1]), "test.csv", "--columns score=label"),
    "scores are all alike": ("plain", rows(["sentence1", "sentence2", "score"], ["a", "b", 1], ["c", "d", 1]),
                             "test.csv", "a rank needs two values"),
    "a score is missing": ("plain", rows(["sentence1", "sentence2", "score"], ["a", "b", ""], ["c", "d", 1]),
                           "test.csv", "must be a number"),
    "a score without end": ("plain", rows(["sentence1", "sentence2", "score"], ["a", "b", "inf"], ["c", "d", 1]),
                            "test.csv", "must be a number"),
    "half a pair": ("plain", rows(["sentence1", "score"], ["a", 1], ["c", 2]), "test.csv", "is the second?"),
    "no sentences": ("plain", rows(["id", "n"], [1, 2], [3, 4]), "test.csv", "is the text?"),
    "stars are words": ("number", rows(["text", "stars"], ["a", "good"], ["b", "bad"]), "test.csv", "must be a number"),
    "stars are missing": ("number", rows(["text", "id"], ["a", 1], ["b", 2]), "test.csv", "is the score?"),
    "a label has no column": ("labels", rows(["text", "yes"], ["a", 1], ["b", 0]), "test.csv", "has no column 'no'"),
    "a label is 2": ("labels", rows(["text", "yes", "no"], ["a", 1, 2], ["b", 0, 0]), "test.csv", "must hold 0 and 1"),
    "pictures in a file": ("image", lambda place: None, "test.csv", "must be a folder"),
    "pictures without classes": ("image", pictures(), "photos", "has no folder in it"),
    "a class without pictures": ("image", lambda place: (place / "photos" / "yes").mkdir(parents=True), "photos",
                                 "holds no pictures"),
    "a class with something else": ("image", pictures("yes/a.png", "yes/b.txt"), "photos", "is none of pictures"),
    "one picture": ("image", pictures("yes/a.png"), "photos", "a measurement needs at least 2"),
    "a class of another model": ("image", pictures("yes/a.png", "perhaps/b.png"), "photos", "'label' is 'perhaps'"),
    "sounds in mp3": ("audio", pictures("yes/a.mp3", "no/b.mp3"), "photos", "is none of sounds"),
    "sounds without classes": ("audio", pictures(), "photos", "has no folder in it"),
    "no masks": ("masks", pictures("images/a.png"), "photos", "must hold the folders images and masks"),
    "a picture without mask": ("masks", pictures("images/a.png", "images/b.png", "masks/a.png"), "photos", "no mask"),
    "one picture with mask": ("masks", pictures("images/a.png", "masks/a.png"), "photos", "holds 1 picture(s)"),
}  # fmt: skip


@pytest.mark.parametrize("case", TASKS)
def test_data_of_another_task_are_refused_in_one_line(place, case):
    head, spoil, data, expected = TASKS[case]
    HEADS[head](place)
    spoil(place)
    assert expected in line_of(place, data=data)


OPTIONS = {
    "no data": ((), None, "needs --data"),
    "data are not there": ((), "nowhere.csv", "expects a file or folder on this machine"),
    "another task": (("--task", "causal-language-modelling"), "test.csv", "does text classification, and not"),
    "an unknown task": (("--task", "poetry"), "test.csv", "does text classification, and not 'poetry'"),
    "another metric": (("--metric", "perplexity"), "test.csv", "is measured by accuracy"),
    "an unknown metric": (("--metric", "beauty"), "test.csv", "is measured by accuracy"),
    "columns without sign": (("--columns", "text"), "test.csv", "expects role=column"),
    "columns twice": (("--columns", "text=text,text=label"), "test.csv", "expects role=column"),
    "a role that is none": (("--columns", "colour=text"), "test.csv", "knows no role 'colour'"),
    "a column that is not there": (("--columns", "text=body"), "test.csv", "has no column 'body'"),
    "a length of none": (("--length", "0"), "test.csv", "at least 4"),
    "a length in words": (("--length", "long"), "test.csv", "at least 4"),
    "a length beyond the model": (("--length", "4096"), "test.csv", "is more than model takes, 32"),
    "weights beside a folder": (("--weights", "w.safetensors"), "test.csv", "not --checkpoint"),
    "an empty option": (("--columns", ""), "test.csv", "--columns is empty"),
    "calibration that is not there": (("--calibration", "nowhere.csv"), "test.csv", "expects a file or folder"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_fit_are_refused_in_one_line(place, case):
    words, data, expected = OPTIONS[case]
    assert expected in line_of(place, *words, data=data)


REFERENCES = {
    "hf:": "needs a folder behind it",
    "hf:bert-base-uncased": "nothing is fetched from a hub",
    "hf:bert-base-uncased?data=x&data=y": "each once",
    "hf:x?colour=red": "not --colour",
    "hf:x?data": "expected ?name=value",
    "hf:\0": "nothing is fetched from a hub",
    "hf:" + "x" * 5000: "nothing is fetched from a hub",
    "pt2:model.pt2": "pt2 expects a file on this machine, and model.pt2 is none",
    "py:": "needs package.module:name behind it",
    "py:nothing": "expects package.module:name",
    "py:a.b:c d": "expects package.module:name",
    "py:__import__('os'):x": "expects package.module:name",
    "py:nowhere.at:all": "no package 'nowhere'",
    "lightning:nowhere.at:All": "no package 'nowhere'",
    "timm:resnet18": "needs --data",
    "st:nowhere": "nothing is fetched from a hub",
    "gguf:x": "unknown model",
    "hf:x?data=": "nothing is fetched from a hub",
    "hf:x?task=a&columns": "expected ?name=value",
    "hf:x?length=4&length=8": "each once",
    "hf:https://huggingface.co/bert": "nothing is fetched from a hub",
    "hf:meta-llama/Llama-3-8B?data=a.csv": "nothing is fetched from a hub",
    "st:": "needs a folder behind it",
    "st:x?weights=w.safetensors": "not --checkpoint",
    "timm:": "needs a name behind it",
    "timm:resnet18?task=x": "not --task",
    "py:a:b?data=x": "not --data",
    "py:a.:b": "expects package.module:name",
    "py::b": "expects package.module:name",
    "py:1a:b": "expects package.module:name",
    "lightning:": "needs package.module:name behind it",
    "lightning:a": "expects package.module:name",
    "pt2:": "needs a file behind it, as in pt2:./model.pt2 --data test.safetensors",
    "onnx:model.onnx": "unknown model",
    "http://localhost/model": "unknown model",
    "": "unknown model",
}


@pytest.mark.parametrize("text", REFERENCES)
def test_a_broken_reference_is_refused_in_one_line(tmp_path, text):
    assert REFERENCES[text] in refused("sweep", text, "--workspace", tmp_path / "ws")


@pytest.mark.parametrize("weight_file", ["w.pt", "w.pth", "w.bin", "w.ckpt", "w.safetensors"])
def test_weights_of_timm_are_looked_at_before_it_is_asked_for(place, weight_file):
    pictures("cat/a.png", "dog/b.png")(place)
    file(weight_file, b"no weights")(place)
    said = refused("sweep", "timm:resnet18", "--weights", place / weight_file, "--data", place / "photos")
    assert "whole safetensors" in said if weight_file.endswith("safetensors") else "weights_only=True" in said


def test_there_are_many_and_what_they_are_made_of_is_sound(place):
    assert sum(map(len, (FOLDERS, ROWS_OF, OTHER_FILES, SAVED, TASKS, OPTIONS, REFERENCES))) >= 200
    assert "task: text classification, by the head of the model" in look(
        f"hf:{place / 'model'}?data={place / 'test.csv'}"
    )


def test_weights_larger_than_the_memory_are_refused_before_they_are_read(place, monkeypatch):
    monkeypatch.setattr(
        "core.workload.sources.folder.psutil.virtual_memory", lambda: type("M", (), {"available": 100})()
    )
    assert "of memory are free" in line_of(place)


def test_a_folder_that_is_gone_is_refused(place):
    ref = canonical(f"hf:{place / 'model'}?data={place / 'test.csv'}")
    shutil.rmtree(place / "model")
    with pytest.raises(SecateurError, match="expects a folder on this machine"):
        look(ref)
