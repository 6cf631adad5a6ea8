"""A packed file compared with what was to be written, as a process that knows nothing of the writing reads it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from core.delivery.packed.unpacking import dequantized, read_packed
from core.errors import SecateurError
from core.workload.identity.fingerprint import state_fingerprint


def compare_packed(path: Path, expected: Mapping[str, Tensor]) -> None:
    """Read a packed file in a fresh process and compare every bit, name, shape and dtype.

    Args:
        path: of the file.
        expected: what it shall hold by name, dequantized; any device, not modified.

    Raises:
        SecateurError: the file cannot be read, or holds something else. The file is left to the caller, who is expected
            to remove it.
    """
    command = [sys.executable, "-P", "-m", "core.delivery.packed.comparison", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip() != state_fingerprint(expected):
        what = (done.stderr.strip().splitlines() or ["its tensors differ"])[-1]
        raise SecateurError(f"{path} was not kept, since a fresh process reads something else from it: {what}")


def main() -> None:
    """`python -m core.delivery.packed.comparison FILE`: prints the fingerprint of what the file holds, dequantized."""
    try:
        print(state_fingerprint(dequantized(read_packed(Path(sys.argv[1])))))
    except SecateurError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
