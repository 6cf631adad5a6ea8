"""Smaller models of transformers as folders: what an even cut makes is reloaded by plain transformers, bit for bit."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache

import pytest

pytest.importorskip("transformers")

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from core import Cut, SparsityPlan
from core.delivery.bundle_words import config_lines
from core.delivery.formats import huggingface_folder
from core.delivery.formats.huggingface_config import fitted
from core.delivery.formats.huggingface_files import odd_files, taken_along
from core.delivery.formats.registry import write_formats
from core.delivery.formats.subject import CannotHoldError, Subject
from core.pruning.shrink import shrink
from core.pruning.structure import find_structure
from core.workload.inputs.names import by_name

pytestmark = pytest.mark.model

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
TEXT = {"vocab_size": 50, "max_position_embeddings": 70, **SMALL}
NAMES = ("LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM", "BertForSequenceClassification",
         "RobertaForTokenClassification", "MPNetModel", "DistilBertForMaskedLM", "ViTForImageClassification",
         "GPT2LMHeadModel", "T5EncoderModel")  # fmt: skip
OWN = {
    "Qwen2ForCausalLM": {"num_key_value_heads": 2},
    "MistralForCausalLM": {"num_key_value_heads": 4},
    "ViTForImageClassification": {"image_size": 16, "patch_size": 4},
    "Dinov2Model": {"image_size": 16, "patch_size": 4},
    "OPTForCausalLM": {"ffn_dim": 96, "word_embed_proj_dim": 64, "pad_token_id": 1},
    "FalconForCausalLM": {"ffn_hidden_size": 96},
    "DistilBertForMaskedLM": {"dim": 64, "hidden_dim": 96, "n_layers": 3, "n_heads": 4},
    "GPT2LMHeadModel": {"n_embd": 64, "n_layer": 3, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2},
    "T5EncoderModel": {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 3, "num_heads": 4},
}


def model_of(name, **numbers):
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    given = {"vocab_size": 50} if name in ("DistilBertForMaskedLM", "GPT2LMHeadModel", "T5EncoderModel") else TEXT
    return cls(cls.config_class(**{**given, **OWN.get(name, {}), **numbers})).eval()


def inputs_of(name, n=4):
    generator = torch.Generator().manual_seed(1)
    if name.startswith(("ViT", "Dino")):
        return (torch.randn(n, 3, 16, 16, generator=generator),)
    return (torch.randint(3, 50, (n, 7), generator=generator),)


@lru_cache
def targets_of(name):
    return find_structure(model_of(name), inputs_of(name)).targets


def even_cuts(model, kind):
    """Half of the neurons of every perceptron, one head (or group of heads) of every attention, or the second block."""
    targets = targets_of(type(model).__name__)
    if kind == "widths":
        return [Cut(t.name, "channel", 0.5) for t in targets if t.granularity == "channel" and t.n_units in (96, 256)]
    if kind == "block":
        outer = [t.name for t in targets if t.granularity == "block" and t.name.count(".") <= 4]
        return [Cut(name, "block") for name in outer if name.split(".")[-1] == "1"][:1]
    last = {t.layer: t for t in targets if t.granularity == kind}
    return [Cut(t.name, kind) for t in last.values()]


def smaller(name, *kinds, **numbers):
    model, inputs = model_of(name, **numbers), inputs_of(name)
    cuts = [cut for kind in kinds for cut in even_cuts(model, kind)]
    assert cuts
    return model, shrink(model, SparsityPlan(tuple(cuts)), inputs)


def tensors(output):
    return [x for x in torch.utils._pytree.tree_leaves(output) if isinstance(x, torch.Tensor)]


def run(model, inputs):
    with torch.inference_mode():
        return model(*inputs, return_dict=False)[0]


HELD = [
    *((name, ("widths",)) for name in NAMES if not name.startswith("GPT2")),
    *((name, ("block",)) for name in NAMES if not name.startswith("T5")),
    ("Dinov2Model", ("widths", "block")),
    ("FalconForCausalLM", ("widths",)),
    ("OPTForCausalLM", ("widths", "block")),
    ("MistralForCausalLM", ("head",)),
    ("Qwen2ForCausalLM", ("kv_group", "widths", "block")),
    ("ViTForImageClassification", ("head", "widths", "block")),
    ("BertForSequenceClassification", ("widths", "block")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Every model of `HELD` as a folder, with what it gives in memory."""
    home = tmp_path_factory.mktemp("folders")
    made = {}
    for i, (name, kinds) in enumerate(HELD):
        dense, model = smaller(name, *kinds)
        before = {key: x.clone() for key, x in model.state_dict().items()}
        config = model.config.to_dict()
        huggingface_folder.write(Subject(model, (inputs_of(name),)), home / str(i))
        assert model.config.to_dict() == config  # the model in memory is left as it is
        assert all(torch.equal(x, before[key]) for key, x in model.state_dict().items())
        made[i] = name, dense, model, home / str(i)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("i", range(len(HELD)), ids=lambda i: "-".join((HELD[i][0], *HELD[i][1])))
def test_even_cuts_make_a_folder_that_from_pretrained_reads(folders, i):
    name, dense, model, path = folders[i]
    again, info = getattr(transformers, name).from_pretrained(path, output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(run(again.eval(), inputs_of(name)), run(model, inputs_of(name)))
    assert not torch.equal(run(dense, inputs_of(name)), run(model, inputs_of(name)))
    assert again.num_parameters() == sum(x.numel() for x in model.parameters()) < dense.num_parameters()
    assert sum(x.numel() for x in load_file(path / "model.safetensors").values()) <= again.num_parameters()


SCRIPT = """
import sys, torch, transformers
from safetensors.torch import load_file, save_file
inputs, outputs = load_file(sys.argv[1]), {}
for key, x in inputs.items():
    path, _, name = key.partition(":")
    model = getattr(transformers, name).from_pretrained(path, local_files_only=True).eval()
    with torch.inference_mode():
        outputs[key] = model(x, return_dict=False)[0].clone().contiguous()
save_file(outputs, sys.argv[2])
assert not any(name.partition(".")[0] == "core" for name in sys.modules)
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_fresh_process_that_has_transformers_alone_gives_the_same_bits(folders, tmp_path):
    given, found = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({f"{path}:{name}": inputs_of(name)[0] for name, _, _, path in folders.values()}, given)
    subprocess.run([sys.executable, "-I", "-c", SCRIPT, given, found], check=True, capture_output=True, cwd=tmp_path)
    outputs = load_file(found)
    for name, _, model, path in folders.values():
        torch.testing.assert_close(outputs[f"{path}:{name}"], run(model, inputs_of(name)), rtol=1e-5, atol=1e-6)


def numbers(model):
    values = fitted(model).config.to_dict()
    return {
        name: values[name]
        for name in values
        if model_of(type(model).__name__).config.to_dict().get(name) != values[name]
    }


def test_the_numbers_are_the_family_s_own():
    assert numbers(smaller("DistilBertForMaskedLM", "widths")[1]) == {"hidden_dim": 48}
    assert numbers(smaller("GPT2LMHeadModel", "block")[1]) == {"n_layer": 2}
    found = numbers(smaller("ViTForImageClassification", "head")[1])
    assert {key: value for key, value in found.items() if value} == {"num_attention_heads": 3, "head_dim": 16}
    assert numbers(smaller("Qwen2ForCausalLM", "block")[1]) == {
        "num_hidden_layers": 2,
        "layer_types": ["full_attention"] * 2,
    }


def test_gpt_2_whose_width_was_four_times_hidden_is_told_it():
    """A GPT-2 narrowed by hand: its perceptrons' weights lie the other way round."""
    model = model_of("GPT2LMHeadModel")
    for block in model.transformer.h:
        block.mlp.c_fc.weight = nn.Parameter(block.mlp.c_fc.weight[:, :100].clone())
        block.mlp.c_fc.bias = nn.Parameter(block.mlp.c_fc.bias[:100].clone())
        block.mlp.c_proj.weight = nn.Parameter(block.mlp.c_proj.weight[:100].clone())
        block.mlp.c_fc.nf = 100
    assert fitted(model).config.n_inner == 100


def test_layers_keep_what_the_list_of_their_types_says(tmp_path):
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = model_of("Qwen2ForCausalLM", layer_types=kinds, use_sliding_window=True, sliding_window=3)
    inputs = inputs_of("Qwen2ForCausalLM")
    less = shrink(model, SparsityPlan((Cut("model.layers.0", "block"),)), inputs)
    huggingface_folder.write(Subject(less, (inputs,)), tmp_path / "out")
    again = transformers.Qwen2ForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert again.config.layer_types == ["full_attention", "sliding_attention"]
    assert torch.equal(run(again, inputs), run(less, inputs))


def test_llama_says_what_its_configuration_refuses_and_what_it_takes():
    _, three = smaller("LlamaForCausalLM", "head")
    with pytest.raises(CannotHoldError) as caught:
        fitted(three)
    said = str(caught.value)
    assert "LlamaConfig refuses num_attention_heads = 3" in said
    assert "The hidden size (64) is not a multiple of the number of attention heads (3)" in said
    assert "it takes 1 or 2 of 4 heads" in said
    assert "or take pt2 or onnx, which hold any sizes" in said
    model, inputs = model_of("LlamaForCausalLM"), inputs_of("LlamaForCausalLM")
    two = [Cut(f"model.layers.{i}.self_attn:{head}", "head") for i in range(3) for head in ((0, 3), (1, 2), (2, 3))[i]]
    found = fitted(shrink(model, SparsityPlan(tuple(two)), inputs)).config  # whichever heads, but equally many
    assert (found.num_attention_heads, found.num_key_value_heads, found.head_dim) == (2, 2, 16)


@pytest.mark.parametrize(
    "name",
    ["BertForSequenceClassification", "DistilBertForMaskedLM", "RobertaForTokenClassification", "OPTForCausalLM"],
)
def test_even_heads_without_a_number_for_their_width_are_refused_with_that_reason(name):
    with pytest.raises(
        CannotHoldError, match=r"equally many in all layers, but \w+Config has no number for the width of a head"
    ):
        fitted(smaller(name, "head")[1])


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Qwen2ForCausalLM", "BertForSequenceClassification",
                                  "ViTForImageClassification", "DistilBertForMaskedLM"])  # fmt: skip
@pytest.mark.parametrize("kind", ["widths", "head"])
def test_uneven_cuts_are_refused_and_no_layer_gets_a_configuration_of_its_own(name, kind, tmp_path):
    model, inputs = model_of(name), inputs_of(name)
    kind = "kv_group" if (name, kind) == ("Qwen2ForCausalLM", "head") else kind
    less = shrink(model, SparsityPlan(tuple(even_cuts(model, kind)[1:])), inputs)
    with pytest.raises(
        CannotHoldError, match=r"has one number for all layers; cut all layers alike .*--even"
    ) as caught:
        huggingface_folder.write(Subject(less, (inputs,)), tmp_path / "out")
    first, second = [word for word in str(caught.value).split() if word.endswith((".weight", ".bias"))]
    assert first.replace("0", "1") == second or first.replace("0", "2") == second or first.replace("1", "0") == second
    assert not (tmp_path / "out").exists()


def test_what_no_number_says_is_refused():
    model, inputs = model_of("BertForSequenceClassification"), inputs_of("Bert")
    less = shrink(model, SparsityPlan((Cut("bert.pooler.dense", "channel", 0.5),)), inputs)
    with pytest.raises(
        CannotHoldError, match=r"bert\.pooler\.dense\.bias is \(32,\), in a BertFor.*no number of BertConfig says this"
    ):
        fitted(less)


@pytest.mark.process
@pytest.mark.slow
def test_a_model_that_is_called_by_name_is_saved_as_its_own_class_and_the_numbers_are_told(tmp_path):
    dense, less = smaller("BertForSequenceClassification", "widths", "block")
    names = ("attention_mask", "input_ids")
    twin = by_name(copy.deepcopy(less), names)
    assert type(twin) is not type(less)
    ids = inputs_of("Bert")[0]
    mask = torch.ones_like(ids)
    mask[:, 5:] = 0
    subject = Subject(twin, ((mask, ids), (mask[:3], ids[:3])))
    written, _ = write_formats(replace(subject, dense=dense), ["huggingface"], tmp_path)
    made = written["huggingface"]
    assert made["config"] == {"num_hidden_layers": [3, 2], "intermediate_size": [96, 48]}
    assert config_lines({"formats": written}) == [
        "huggingface/config.json says what was cut: num_hidden_layers 3 → 2, intermediate_size 96 → 48"
    ]
    config = json.loads((tmp_path / "huggingface" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert "per_layer_config" not in config
    again = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "huggingface").eval()
    with torch.inference_mode():
        apart = again(input_ids=ids, attention_mask=mask).logits - less(input_ids=ids, attention_mask=mask).logits
    assert float(apart.abs().max()) == 0.0


def test_a_twin_that_lost_nothing_is_saved_as_its_own_class(tmp_path):
    model = model_of("BertForSequenceClassification")
    twin = by_name(model, ("attention_mask", "input_ids"))
    huggingface_folder.write(Subject(twin, ()), tmp_path / "out")
    again = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(run(again, inputs_of("Bert")), run(model, inputs_of("Bert")))


def test_files_of_the_tokenizer_and_the_processor_are_taken_along_and_nothing_else(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "folder"
    source.mkdir()
    folder.mkdir()
    for name in (
        "tokenizer.json",
        "vocab.txt",
        "preprocessor_config.json",
        "config.json",
        "pytorch_model.bin",
        "run.py",
    ):
        (source / name).write_text(f"of the source: {name}")
    (folder / "vocab.txt").write_text("of the folder")
    (folder / "config.json").write_text("of the folder")
    assert taken_along(source, folder) == ("preprocessor_config.json", "tokenizer.json")
    assert (folder / "tokenizer.json").read_text() == "of the source: tokenizer.json"
    assert (folder / "vocab.txt").read_text() == (folder / "config.json").read_text() == "of the folder"
    assert odd_files(folder) == []
    (folder / "run.py").write_text("")
    assert odd_files(folder) == ["run.py"]


def test_a_folder_that_was_read_gives_its_tokenizer_to_the_one_that_is_written(tmp_path):
    model = model_of("BertForSequenceClassification")
    model.save_pretrained(tmp_path / "source")
    (tmp_path / "source" / "tokenizer.json").write_text("{}")
    read = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "source").eval()
    huggingface_folder.write(Subject(read, ()), tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"
