"""`SlimAttention` against torch's own module."""

import io
import warnings

import pytest
import torch
from torch import nn

from core.pruning.coupling.slim_attention import SlimAttention

N, QUERIES, KEYS, DIM, HEADS = 3, 4, 6, 8, 2


def pair(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torchs = nn.MultiheadAttention(DIM, HEADS, **options).eval()
        for name, parameter in torchs.named_parameters():
            if "bias" in name:
                nn.init.normal_(parameter)
        return torchs, SlimAttention(torchs).eval()


def given(options, batched=True, seed=1):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((QUERIES, DIM), (KEYS, options.get("kdim") or DIM), (KEYS, options.get("vdim") or DIM))
    tensors = [torch.randn(*((N,) if batched else ()), *size, generator=generator) for size in sizes]
    return tensors if options.get("batch_first") or not batched else [t.transpose(0, 1).contiguous() for t in tensors]


def padding(batched=True):
    mask = torch.zeros(N, KEYS, dtype=torch.bool)
    mask[1, -2:] = mask[2, 0] = True
    return mask if batched else mask[1]


def barred(*before):
    mask = torch.rand(*before, QUERIES, KEYS, generator=torch.Generator().manual_seed(2)) > 0.6
    mask[..., 1] = False  # no query without a key
    return mask


def as_float(mask):
    return torch.where(mask, -3.0, torch.linspace(-1, 1, mask.shape[-1]))


MASKS = {
    "none": {},
    "padding": {"key_padding_mask": padding()},
    "float padding": {"key_padding_mask": as_float(padding())},
    "barred": {"attn_mask": barred()},
    "added": {"attn_mask": as_float(barred())},
    "of each head": {"attn_mask": barred(N * HEADS)},
    "both": {"key_padding_mask": padding(), "attn_mask": barred()},
    "both added": {"key_padding_mask": as_float(padding()), "attn_mask": as_float(barred(N * HEADS))},
}
OPTIONS = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False, "batch_first": True},
    "other keys": {"kdim": 5, "vdim": 7},
    "learned key": {"add_bias_kv": True},
    "zero key": {"add_zero_attn": True, "batch_first": True},
    "both keys": {"add_zero_attn": True, "add_bias_kv": True},
}
WANTED = [{"need_weights": False}, {"average_attn_weights": True}, {"average_attn_weights": False}]


def check(theirs, ours):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    assert (ours[1] is None) == (theirs[1] is None)
    if theirs[1] is not None:
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", WANTED, ids=["no weights", "mean", "each head"])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_gives_what_torchs_module_gives(options, masks, wanted):
    torchs, slim = pair(**options)
    tensors = given(options)
    check(torchs(*tensors, **masks, **wanted), slim(*tensors, **masks, **wanted))


@pytest.mark.parametrize("wanted", WANTED, ids=["no weights", "mean", "each head"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_without_a_batch_too(batch_first, wanted):
    torchs, slim = pair(batch_first=batch_first)
    tensors = given({}, batched=False)
    masks = {"key_padding_mask": padding(batched=False), "attn_mask": barred(HEADS)}
    check(torchs(*tensors, **masks, **wanted), slim(*tensors, **masks, **wanted))


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_causal_hint_changes_nothing_beside_its_mask(need_weights):
    torchs, slim = pair(batch_first=True)
    x = given({"batch_first": True})[0]
    mask = nn.Transformer.generate_square_subsequent_mask(QUERIES)
    options = {"attn_mask": mask, "is_causal": True, "need_weights": need_weights}
    check(torchs(x, x, x, **options), slim(x, x, x, **options))
    with pytest.raises(RuntimeError, match="Need attn_mask"):
        slim(x, x, x, is_causal=True)


def test_gradients_are_torchs_too_and_frozen_stays_frozen():
    torchs, slim = pair(batch_first=True)
    x = given({"batch_first": True})[0]
    for module in (torchs, slim):
        module.train()(x, x, x)[0].square().sum().backward()
    found = torch.cat([slim.q_proj.weight.grad, slim.k_proj.weight.grad, slim.v_proj.weight.grad])
    torch.testing.assert_close(found, torchs.in_proj_weight.grad, rtol=1e-4, atol=1e-5)
    torchs.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in SlimAttention(torchs).parameters())


def test_weights_are_copies():
    torchs, slim = pair()
    with torch.no_grad():
        slim.q_proj.weight.zero_()
        slim.out_proj.bias.zero_()
    assert torchs.in_proj_weight.ne(0).all()
    assert torchs.out_proj.bias.ne(0).all()


def without_head_0(batch_first=True):
    """By hand: the rows and columns of head 0 are gone."""
    torchs, slim = pair(batch_first=batch_first)
    size = DIM // HEADS
    for layer in (slim.q_proj, slim.k_proj, slim.v_proj):
        layer.weight, layer.bias = nn.Parameter(layer.weight[size:]), nn.Parameter(layer.bias[size:])
    slim.out_proj.weight = nn.Parameter(slim.out_proj.weight[:, size:])
    slim.num_heads, slim.kept_heads = 1, (1,)
    with torch.no_grad():
        torchs.out_proj.weight[:, :size] = 0
    return torchs, slim


def test_a_mask_for_every_head_is_cut_down_to_those_that_stayed():
    torchs, slim = without_head_0()
    tensors = given({"batch_first": True})
    mask = barred(N * HEADS)
    theirs = torchs(*tensors, attn_mask=mask, average_attn_weights=False)
    ours = slim(*tensors, attn_mask=mask, average_attn_weights=False)
    check((theirs[0], theirs[1][:, 1:]), ours)
    check(ours, slim(*tensors, attn_mask=mask[1::HEADS], average_attn_weights=False))


@pytest.mark.parametrize("place", ["first", "last", "both"])
def test_a_padded_encoder_gives_the_same_with_it_in_any_layer(place):
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2).eval()
    ours = nn.TransformerEncoder(layer, 2).eval()
    ours.load_state_dict(theirs.state_dict())
    for i in {"first": (0,), "last": (1,), "both": (0, 1)}[place]:
        ours.layers[i].self_attn = SlimAttention(ours.layers[i].self_attn).eval()
    x = torch.randn(N, KEYS, DIM)
    gone = torch.zeros(N, KEYS, dtype=torch.bool)
    gone[1:, -2:] = True
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The PyTorch API of nested tensors")
        torch.testing.assert_close(
            ours(x, src_key_padding_mask=gone), theirs(x, src_key_padding_mask=gone), rtol=1e-5, atol=1e-5
        )


class InLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, batch_first=True)
        _, self.layer.self_attn = without_head_0()

    def forward(self, x):
        return self.layer(x)


def test_it_is_exported_with_any_batch_size():
    model, x = InLayer().eval(), torch.randn(N, KEYS, DIM)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},))
    more = torch.randn(5, KEYS, DIM)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(more), model(more), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_runs_in_onnx_runtime():
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, x = InLayer().eval(), torch.randn(N, KEYS, DIM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-5)
