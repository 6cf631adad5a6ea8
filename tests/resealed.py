"""Damage with intent."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.delivery.manifest import sealed


def reseal(folder: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None, **entries: object) -> None:
    """Change a bundle's manifest, and make it fit whatever lies in the folder: damage with intent, not by accident."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    manifest.update(entries)
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_text(sealed(manifest))
