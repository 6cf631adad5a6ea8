"""What a pattern of zeros needs in order to be computed faster than dense, and whether this machine has it.

Zeros alone save no time. Plain values; torch is imported only where this machine is looked at.
"""

from dataclasses import dataclass
from importlib.util import find_spec

from core.plans.patterns import CPU_SIDES, Pattern, parse_pattern

TENSOR_CORES = (8, 0)  # the first compute capability whose tensor cores skip the zeros of 2:4
TRITON_SIDE = 16  # torch.sparse._triton_ops.check_blocksize: at least 16, and a power of 2
# measured on one thread of a Xeon with AVX-512; F.linear(x, W) with the same W took 1.6 to 13 times as long as dense
ON_CPU = (
    "as W @ x.T on a CPU (torch 2.13) a linear layer of 1024 x 1024 with 90 % of its tiles gone takes 0.24 to 0.36 of "
    "its dense time with 64 rows; with one row 0.36 to 0.42 in tiles of 16 and 32, and 30 times as long in smaller ones"
)


@dataclass(frozen=True)
class Machine:
    """What counts of a machine.

    Attributes:
        gpu: name of its NVIDIA GPU, as torch sees it; `None` without.
        capability: compute capability of that GPU.
        has_cusparselt: this torch has cuSPARSELt, its kernels for 2:4.
        has_triton: Triton is installed, in which torch's kernels for block-sparse (BSR) tensors are written.
    """

    gpu: str | None
    capability: tuple[int, int] | None
    has_cusparselt: bool
    has_triton: bool


@dataclass(frozen=True)
class Requirement:
    """What a pattern needs to be fast.

    Attributes:
        text: what it needs.
        met: whether the machine has it; `None` if only timing can tell.
        why: of `met`, what was found.
    """

    text: str
    met: bool | None
    why: str


def this_machine() -> Machine:
    """What torch sees here; of several GPUs the first."""
    import torch

    # torch for AMD calls its GPUs "cuda" too, and gives them capabilities that mean something else
    is_nvidia = torch.version.cuda is not None and torch.cuda.is_available()
    return Machine(
        torch.cuda.get_device_name(0) if is_nvidia else None,
        torch.cuda.get_device_capability(0) if is_nvidia else None,
        torch.backends.cusparselt.is_available(),
        find_spec("triton") is not None,
    )


def requirement(pattern: str, machine: Machine | None = None) -> Requirement:
    """What a pattern needs to be fast, and whether a machine has it.

    Args:
        pattern: as `parse_pattern` reads it.
        machine: to judge; `None` for this one.

    Raises:
        SecateurError: there is no such pattern.
    """
    parsed, here = parse_pattern(pattern), this_machine() if machine is None else machine
    if parsed.is_tiles:
        return _of_tiles(parsed, here)
    if (parsed.a, parsed.b) == (2, 4):
        return _of_two_of_four("2:4 needs", here)
    if holds_two_of_four(parsed):
        return _of_two_of_four(
            f"{parsed} has no kernel of its own, but is 2:4 too and no faster than that; it needs", here
        )
    return Requirement(
        f"{parsed} needs a kernel of its own: neither torch nor cuSPARSELt has one for other than 2:4",
        False,
        "no stock kernel computes it faster than dense",
    )


def requirement_text(found: Requirement) -> str:
    """One line: `2:4 needs …; not fast here: no NVIDIA GPU`."""
    verdict = {True: "this machine has it", False: "not fast here", None: "only timing can tell here"}[found.met]
    return f"{found.text}; {verdict}: {found.why}"


def holds_two_of_four(pattern: Pattern) -> bool:
    """Whether any mask of an `N:M` also keeps at most 2 of every 4: at most two per group, and groups of whole fours.

    1:2 keeps one of every two, and so two of four at most.
    """
    if pattern.is_tiles:
        return False
    return (pattern.a <= 2 and pattern.b % 4 == 0) or (pattern.a, pattern.b) == (1, 2)


def _of_two_of_four(what: str, here: Machine) -> Requirement:
    text = (
        f"{what} an NVIDIA GPU of compute capability 8.0 or newer, 16 or 8 bits, and torch's semi-structured kernels "
        "(cuSPARSELt), which are for linear layers whose sides are multiples of 16"
    )
    if here.gpu is None or here.capability is None:
        return Requirement(text, False, "torch sees no NVIDIA GPU")
    gpu = f"{here.gpu} has compute capability {here.capability[0]}.{here.capability[1]}"
    if here.capability < TENSOR_CORES:
        return Requirement(text, False, f"{gpu}, whose tensor cores skip no zeros")
    if not here.has_cusparselt:
        return Requirement(text, None, f"{gpu}, but this torch comes without cuSPARSELt; its CUTLASS kernels may serve")
    return Requirement(text, True, f"{gpu}, and torch comes with cuSPARSELt")


def _of_tiles(tiles: Pattern, here: Machine) -> Requirement:
    on_triton = _fits_triton(tiles.a) and _fits_triton(tiles.b)
    on_cpu = any(tiles.a % side == 0 and tiles.b % side == 0 for side in CPU_SIDES)
    text = (
        f"tiles of {tiles} need a block-sparse engine: torch's for BSR tensors on an NVIDIA GPU, with Triton, for "
        f"tiles whose sides are powers of 2 from {TRITON_SIDE} on; or torch's for BSR tensors on a CPU, for linear "
        f"layers and square tiles of {', '.join(map(str, sorted(CPU_SIDES)))} (the engine sparse of `secateur pays`)"
    )
    if here.gpu is not None and here.has_triton and on_triton:
        return Requirement(
            text, None, f"{here.gpu} and Triton are here, and how many tiles must go to win is the layer's"
        )
    missing = "Triton is not installed" if here.gpu is not None else "torch sees no NVIDIA GPU"
    missing = missing if on_triton else f"torch's engine for GPUs takes no tiles of {tiles}"
    if not on_cpu:
        return Requirement(text, False, f"{missing}, and no square tiles that its CPU takes lie in them")
    return Requirement(text, None, f"{missing}; {ON_CPU}")


def _fits_triton(side: int) -> bool:
    return side >= TRITON_SIDE and side & (side - 1) == 0
