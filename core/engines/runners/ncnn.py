"""ncnn on the CPU, in its own process; pnnx writes its files from ONNX."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def write(job: dict[str, Any], inputs: Sequence[Any]) -> list[str]:
    """`.param` and `.bin` of an ONNX file, for inputs of these shapes."""
    from importlib.util import find_spec

    found = find_spec("pnnx")  # importing it imports torch, and the program does without
    assert found is not None
    assert found.origin is not None
    kinds = {"float32": "f32", "int64": "i64", "int32": "i32", "bool": "b8"}
    shapes = ",".join(f"[{','.join(map(str, x.shape))}]{kinds[str(x.dtype)]}" for x in inputs)
    copy = Path(job["folder"], "model.onnx")
    copy.write_bytes(Path(job["source"]).read_bytes())  # it writes beside what it reads
    words = [str(Path(found.origin).with_name("pnnx")), copy.name, f"inputshape={shapes}", "fp16=0"]
    done = subprocess.run(words, cwd=job["folder"], capture_output=True, text=True, errors="replace")
    files = [copy.with_name("model.ncnn.param"), copy.with_name("model.ncnn.bin")]
    said = (done.stdout + done.stderr).splitlines()
    if done.returncode or not all(file.exists() for file in files):
        raise RuntimeError(f"pnnx ended with code {done.returncode}: {said[-1] if said else 'no word'}")
    files[0].write_text(with_axes(files[0].read_text(), copy.with_name("model.pnnx.param").read_text()))
    missing = sorted({line.split()[0] for line in files[0].read_text().splitlines()[2:] if "." in line.split()[0]})
    if missing:  # operations that it has no layer for stay under torch's names, and crash ncnn later
        raise RuntimeError(f"layer {missing[0]} not exists or registered: pnnx leaves {', '.join(missing)} as they are")
    return [str(file) for file in files]


REDUCTIONS = ("torch.mean", "torch.sum", "torch.amax", "torch.amin", "torch.prod", "torch.logsumexp", "torch.norm")


def with_axes(param: str, said: str) -> str:
    """ncnn's `.param` with the axes of reductions over one dimension.

    pnnx 20261020 leaves them out where it reads ONNX (`-23303=0`), and ncnn then reduces nothing.

    Args:
        param: as pnnx wrote it.
        said: its own form of the same graph, `.pnnx.param`, which still tells the dimension.

    Raises:
        RuntimeError: a reduction cannot be told from others, or goes over the batch.
    """
    rows = [line.split() for line in said.splitlines()]
    dims = [int(word[4:]) for row in rows if row[:1] and row[0] in REDUCTIONS for word in row if word[:4] == "dim="
            and word[4:].lstrip("-").isdigit()]  # fmt: skip
    lines = param.splitlines()
    empty = [i for i, line in enumerate(lines) if line.split()[:1] == ["Reduction"] and "-23303=0" in line.split()]
    if not empty:
        return param
    if len(empty) != len(dims) or 0 in dims:
        raise RuntimeError(f"unsupported operation Reduction: pnnx gives {len(empty)} of them no axes")
    for i, dim in zip(empty, dims, strict=True):
        axis = dim if dim < 0 else dim - 1  # ncnn has no dimension for the batch
        lines[i] = " ".join(f"-23303=1,{axis}" if word == "-23303=0" else word for word in lines[i].split())
    return "\n".join(lines) + "\n"


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of the file."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    if net.load_param(file) or net.load_model(file.removesuffix("param") + "bin"):
        raise RuntimeError("ncnn cannot load what pnnx wrote")
    given = [np.ascontiguousarray(x.astype(np.int32) if x.dtype == np.int64 else x) for x in inputs]
    names, outputs = sorted(net.input_names(), key=_number), sorted(net.output_names(), key=_number)

    def forward() -> list[Any]:
        found = []
        with net.create_extractor() as extractor:
            for name, x in zip(names, given, strict=True):
                extractor.input(name, ncnn.Mat(x, batch_index=0).clone())
            for name in outputs:
                code, out = extractor.extract(name)
                if code:
                    raise RuntimeError(f"ncnn gives code {code} for {name}")
                found.append(out.numpy(batch_index=0))
        return found

    return forward


def _number(name: str) -> int:
    return int("".join(filter(str.isdigit, name)) or 0)
