"""Names under which evidence of the metrics of the first release lies on disk.

A metric's fingerprint is a hash of all that its scoring uses, and a name that happens to be that of another function
here (`F.cross_entropy`, `core.cross_entropy`) is taken for a use of it. So what stands beside a function must not
decide: while its own text, what it closes over and the scale are those of the first release, so is its fingerprint.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

HOME = "core.workload.metric"  # only functions of ours: a copy of one elsewhere may use other things of these names

# hash of the function's own text, what it closes over, and what it is asked under -> the fingerprint of release 0.1.0
KEPT: dict[str, str] = {
    "5b057137376c23f1": "fd0ddb55e960ce53a6c4e5832c0bb7a1d7ba1c05f83f8b0ed97026b5d8a50158",  # cross_entropy
    "2872bc520d108f2f": "dd2e8a978f1ec913cd459bb964fc644b16e82158841d64255e6d7154f234a7c4",  # loss of cross_entropy
    "89d01c8ae45b3d7a": "9b6e08111876a221564e6de72dcd5ab9fe3ec5c09677d0c70d11c92402e575f0",  # perplexity
    "b90941236dc8d347": "b708e41ed2fdb2caf7289d0c07109919ba462135883075839b5be6b8a52adb0c",  # loss of perplexity
}


def kept_name(function: Callable[..., Any] | None, under: str) -> str | None:
    """The fingerprint that evidence of `function` is kept under since the first release; `None` if there is none.

    Args:
        function: that scores, or is a loss.
        under: what else the fingerprint depends on, as text.
    """
    if getattr(function, "__module__", None) != HOME:
        return None
    return KEPT.get(own_text_hash(function, under))


def own_text_hash(function: Any, under: str) -> str:
    """Hash of a function's own text with what it closes over, and of `under`."""
    closed = [repr(cell.cell_contents) for cell in function.__closure__ or ()]
    return hashlib.sha256(f"{under}{inspect.getsource(function)}{closed}".encode()).hexdigest()[:16]
