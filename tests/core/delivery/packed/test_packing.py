"""A packed file gives back every bit, takes the smallest coding, needs no code of ours, and says when it is damaged."""

import hashlib
import json
import random

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from core import SecateurError
from core.delivery.packed.layout import DTYPES, seal
from core.delivery.packed.packing import FRAME_BYTES, write_packed, zstd_bytes
from core.delivery.packed.unpacking import dequantized, read_packed
from core.pruning.ranking import keep_largest
from core.pruning.wearing import cut_weight
from core.quantization.weights import quantize_tensor
from core.workload.examples import tensor_bytes

SHAPES = st.one_of(
    st.just(()), st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple), st.just((400,)), st.just((3, 500))
)


def bits_of(tensor):
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return bytes(tensor_bytes(real)), tensor.dtype, tensor.shape


def some_tensor(dtype, shape, density, seed):
    """Random bytes as entries of a dtype: NaN, infinities, -0.0 and subnormals of all sorts; and zeros."""
    generator = np.random.default_rng(seed)
    n = int(np.prod(shape))
    entries = generator.integers(0, 256, (n, dtype.itemsize), dtype=np.uint8)
    entries[generator.random(n) >= density] = 0
    if dtype == torch.bool:
        entries = (entries > 0).astype(np.uint8)
    if not n:
        return torch.empty(shape, dtype=dtype)
    flat = torch.from_numpy(entries.reshape(-1))
    if dtype.is_complex:
        real = torch.float32 if dtype == torch.complex64 else torch.float64
        return torch.view_as_complex(flat.view(real).view(-1, 2)).reshape(shape)
    return flat.view(dtype).reshape(shape)


def sparse(sparsity, *shape):
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return cut_weight(weight, keep_largest(weight.abs(), sparsity))


@pytest.mark.parametrize("name", DTYPES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(shape=SHAPES, density=st.sampled_from([0.0, 0.02, 0.2, 0.5, 1.0]), seed=st.integers(0, 1000))
def test_every_bit_of_every_dtype_comes_back(tmp_path, name, shape, density, seed):
    tensor = some_tensor(DTYPES[name], shape, density, seed)
    write_packed({"a": tensor, "b": tensor.flatten()[:3]}, tmp_path / "p.safetensors")
    found = read_packed(tmp_path / "p.safetensors")
    assert list(found) == ["a", "b"]
    assert bits_of(found["a"]) == bits_of(tensor)
    assert bits_of(found["b"]) == bits_of(tensor.flatten()[:3])


def test_nan_minus_zero_and_infinity_keep_their_bits(tmp_path):
    odd = torch.tensor([0.0, -0.0, float("nan"), -float("nan"), float("inf"), 1e-45])
    odd.view(torch.int32)[2] = 0x7FC12345  # a NaN with a message
    write_packed({"odd": odd}, tmp_path / "p.safetensors")
    assert bits_of(read_packed(tmp_path / "p.safetensors")["odd"]) == bits_of(odd)


def test_no_tensors_at_all_are_a_file_too(tmp_path):
    write_packed({}, tmp_path / "p.safetensors")
    assert read_packed(tmp_path / "p.safetensors") == {}


def test_views_transposes_and_conjugates_are_written_as_they_read(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    number = torch.tensor([1 + 2j, 3 - 4j])
    given = {"t": base.t(), "slice": base[:, ::2], "conj": number.conj(), "neg": number.conj().imag}
    write_packed(given, tmp_path / "p.safetensors")
    found = read_packed(tmp_path / "p.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


def test_large_tensors_fill_several_frames(tmp_path):
    generator = torch.Generator().manual_seed(0)
    given = {f"t{i}": torch.randn(FRAME_BYTES // 5 * 2, generator=generator) for i in range(4)}
    given["one that does not fit into a frame"] = torch.randn(FRAME_BYTES * 2, generator=generator)
    write_packed(given, tmp_path / "p.safetensors")
    found = read_packed(tmp_path / "p.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


@pytest.mark.parametrize(("sparsity", "coding"), [(0.0, "every"), (0.5, "bitmask"), (0.99, "gaps")])
def test_a_tensor_gets_the_coding_that_suits_it(tmp_path, sparsity, coding):
    assert write_packed({"w": sparse(sparsity, 200, 200)}, tmp_path / "p.safetensors").codings == {"w": coding}


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9])
def test_a_packed_sparse_weight_comes_near_the_entropy_of_its_mask(tmp_path, sparsity):
    """Of a random mask no coding can need less than H(s) bits an entry; random bytes cannot be compressed."""
    generator = np.random.default_rng(0)
    n = 400_000
    codes = generator.integers(1, 256, n, dtype=np.uint8).view(np.int8)
    codes[generator.permutation(n)[: round(sparsity * n)]] = 0
    packed = write_packed({"w": torch.from_numpy(codes)}, tmp_path / "p.safetensors").n_bytes
    entropy = -(sparsity * np.log2(sparsity) + (1 - sparsity) * np.log2(1 - sparsity))
    least = n * (entropy + np.log2(255) * (1 - sparsity)) / 8
    assert least < packed < 1.02 * least + 600


def test_a_pattern_of_two_in_four_costs_less_than_a_bit_an_entry_for_its_mask(tmp_path):
    """Two of four are one of 6 choices: log2(6) / 4 = 0.646 bits an entry, where a plain mask has 1."""
    generator = np.random.default_rng(0)
    codes = generator.integers(1, 256, (100_000, 4), dtype=np.uint8).view(np.int8)
    codes[generator.random((100_000, 4)).argsort(1) < 2] = 0
    packed = write_packed({"w": torch.from_numpy(codes)}, tmp_path / "p.safetensors").n_bytes
    least = 200_000 * np.log2(255) / 8
    assert least + 400_000 * 0.646 / 8 < packed < 200_000 + 400_000 * 0.7 / 8


def test_packing_beats_plain_zstd_of_a_sparse_weight(tmp_path):
    weight = sparse(0.8, 300, 300)
    packed = write_packed({"w": weight}, tmp_path / "p.safetensors").n_bytes
    assert packed < 0.8 * zstd_bytes(save({"w": weight}))


@pytest.fixture
def packed(tmp_path):
    """A file with tensors of every coding, one of them quantized; and what it holds."""
    given = {
        "every": sparse(0.0, 40, 50),
        "sparse": sparse(0.7, 40, 50),
        "sparser": sparse(0.99, 40, 50),
        "quantized": quantize_tensor(sparse(0.7, 40, 50), 0),
        "steps": torch.tensor(7),
    }
    path = tmp_path / "packed.safetensors"
    write_packed(given, path)
    return path, given


def test_safetensors_and_zstd_are_enough_to_read_it(packed):
    """A reader of its own, written from the text at the top of `packed_layout`; NumPy and nothing of ours."""
    path, given = packed
    with safe_open(path, "numpy") as file:
        index, frames = (file.get_tensor(name).tobytes() for name in ("index", "frames"))
        assert file.metadata()["sha256"] == hashlib.sha256(index + frames).hexdigest()
    index = json.loads(zstandard.decompress(index))
    streams, at = {}, 0
    for kind, _, n_packed, method in index["frames"]:
        part = frames[at : at + n_packed]
        at += n_packed
        streams[kind] = streams.get(kind, b"") + (zstandard.decompress(part) if method == "zstd" else part)

    def take(kind, n):
        taken, streams[kind] = streams.get(kind, b"")[:n], streams.get(kind, b"")[n:]
        return taken

    arrays = []
    for line in index["arrays"]:
        dtype, n = np.dtype(line["dtype"]), int(np.prod(line["shape"]))
        where = range(n)
        if line["coding"] == "bitmask":
            mask = take("mask", (n + 7) // 8)
            where = [i for i in range(n) if mask[i // 8] >> (7 - i % 8) & 1]
        elif line["coding"] == "gaps":
            where, position, gap = [], -1, 0
            for byte in take("gaps", line["positions"]):
                gap += byte
                if byte < 255:
                    position += gap + 1
                    where.append(position)
                    gap = 0
        planes = [take(f"values {k}/{dtype.itemsize}", line["kept"]) for k in range(dtype.itemsize)]
        flat = np.zeros(n, dtype)
        for i, entry in zip(where, zip(*planes, strict=True), strict=True):
            flat[i] = np.frombuffer(bytes(entry), dtype)[0]
        arrays.append(flat.reshape(line["shape"]))
    assert not any(streams.values())
    assert {line["coding"] for line in index["arrays"]} == {"every", "bitmask", "gaps"}
    for name, tensor in dequantized(given).items():
        where = index["tensors"][name]
        found = arrays[where] if isinstance(where, int) else arrays[where["codes"]] * arrays[where["scales"]][:, None]
        assert np.array_equal(found, tensor.numpy()), name


def test_what_was_quantized_comes_back_as_codes_and_scales(packed):
    path, given = packed
    found, expected = read_packed(path)["quantized"], given["quantized"]
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.scales, expected.scales)
    assert (found.axis, found.dtype, found.bits) == (0, torch.float32, 8)
    assert torch.equal(found.dequantized(), expected.dequantized())


def test_no_byte_of_a_file_can_be_changed_unnoticed(packed):
    """Every byte of the header and a thousand of the rest: an error of ours, or the same tensors still."""
    path, given = packed
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    generator = random.Random(0)
    places = [*range(header), *(generator.randrange(header, len(good)) for _ in range(1000))]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << generator.randrange(8)
        path.write_bytes(bad)
        try:
            found = read_packed(path)
        except SecateurError:
            continue
        assert place < header, "a byte of the contents"
        assert all(torch.equal(tensor, dequantized(given)[name]) for name, tensor in dequantized(found).items())


def test_a_file_that_was_cut_short_is_refused(packed):
    path, _ = packed
    good = path.read_bytes()
    for n in range(0, len(good), 97):
        path.write_bytes(good[:n])
        with pytest.raises(SecateurError, match=r"packed\.safetensors"):
            read_packed(path)


def rewritten(path, change):
    """The file with another index and a hash that fits it: made by somebody, not by chance."""
    contents = load_file(path)
    index = json.loads(zstandard.decompress(contents["index"].numpy().tobytes()))
    change(index)
    fresh = zstandard.compress(json.dumps(index).encode())
    contents["index"] = torch.from_numpy(np.frombuffer(fresh, np.uint8).copy())
    save_file(contents, path, metadata={"format": "secateur.packed", "version": "1", "sha256": seal(contents)})


CHANGES = {
    "a huge shape": lambda index: index["arrays"][0].update(shape=[10**15]),
    "a shape beyond all memory": lambda index: index["arrays"][1].update(shape=[10**15]),
    "a shape beyond all numbers": lambda index: index["arrays"][0].update(shape=[2**62, 2**62], kept=0),
    "a negative size": lambda index: index["arrays"][0].update(kept=-1),
    "another coding": lambda index: index["arrays"][1].update(coding="every"),
    "an unknown coding": lambda index: index["arrays"][1].update(coding="magic"),
    "an unknown dtype": lambda index: index["arrays"][1].update(dtype="Tensor"),
    "another dtype": lambda index: index["arrays"][1].update(dtype="float64"),
    "an array too few": lambda index: index["arrays"].pop(),
    "a tensor of no array": lambda index: index["tensors"].update(sparse=99),
    "a frame too long": lambda index: index["frames"][0].__setitem__(2, 10**9),
    "a frame of another length": lambda index: index["frames"][0].__setitem__(1, 10**12),
    "a frame too few": lambda index: index["frames"].pop(),
    "no frames": lambda index: index.pop("frames"),
    "text": lambda index: index.update(arrays="text"),
    "more values than entries": lambda index: index["arrays"][1].update(kept=10**6),
    "an axis that is none": lambda index: index["tensors"]["quantized"].update(axis=7),
    "scales of another array": lambda index: index["tensors"]["quantized"].update(scales=1),
    "codes that are floats": lambda index: index["tensors"]["quantized"].update(codes=1),
    "another dtype to convert to": lambda index: index["tensors"]["quantized"].update(dtype="int8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_index_that_tells_lies_is_refused(packed, change):
    path, _ = packed
    rewritten(path, change)
    with pytest.raises(SecateurError, match="damaged"):
        read_packed(path)


def test_other_files_are_refused_by_name(tmp_path, packed):
    save_file({"w": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(SecateurError, match=r"not a packed weights file; `secateur quantize"):
        read_packed(tmp_path / "weights.safetensors")
    with pytest.raises(SecateurError, match="cannot read"):
        read_packed(tmp_path / "missing.safetensors")
    path, _ = packed
    contents = load_file(path)
    save_file(contents, path, metadata={"format": "secateur.packed", "version": "2", "sha256": seal(contents)})
    with pytest.raises(SecateurError, match="upgrade secateur"):
        read_packed(path)


def test_a_dtype_that_no_packed_file_holds_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SecateurError, match=r"w holds torch\.uint32"):
        write_packed({"w": torch.empty(2, dtype=torch.uint32)}, tmp_path / "p.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecateurError, match="cannot write"):
        write_packed({"w": torch.ones(2)}, tmp_path / "file" / "p.safetensors")
