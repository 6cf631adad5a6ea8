"""Examines every architecture and writes what was found into `found.json`, which the page is made of.

python -m tests.contract.run            all of them, two minutes
python -m tests.contract.run mlp gru    these, and keeps what is written of the others

What needs timm and torchvision keeps what is written of it where these do not import.
"""

import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

VISION = "timm and torchvision"  # the family that another environment examines
FOUND = Path(__file__).with_name("found.json")
COMMAND = "python -m tests.contract.run && python -m tests.contract.page > docs/architectures.md"


def settled(found: dict[str, Any]) -> dict[str, Any]:
    """What was found without what another machine rounds otherwise."""

    def same_everywhere(text: str) -> str:
        return re.sub(r"\d[\d.]*(e[+-]?\d+)? apart", "… apart", text)

    said = {column: sorted(set(map(same_everywhere, reasons))) for column, reasons in found["said"].items() if reasons}
    return {"right": {column: n for column, n in found["right"].items() if n}, "said": said}


def read() -> dict[str, Any]:
    """What is written, by architecture."""
    return json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}


def main(names: list[str]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from tests.contract import vision_nets
    from tests.contract.architectures import ARCHITECTURES, FAMILIES, KNOWN
    from tests.contract.contract import examine

    torch.set_num_threads(1)
    old, new = read(), {}
    for family, members in FAMILIES.items():
        for name in members:
            is_missing = family == VISION and vision_nets.missing()
            if is_missing or (names and name not in names and name in old):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = examine(name)
            for line in found.third if name not in KNOWN else ():
                print(f"{name}: {line}", file=sys.stderr)
            pending = {"pending": KNOWN[name]} if name in KNOWN else {}
            made_with = {"made_with": vision_nets.versions()} if family == VISION else {}
            new[name] = {"family": family, **settled(found.to_json()), **pending, **made_with}
            kept = {name: (old | new)[name] for name in ARCHITECTURES if name in old | new}
            FOUND.write_text(json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
