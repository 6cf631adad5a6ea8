"""Where evidence was measured, in words. No torch."""

import json

UNKNOWN = "nobody noted on which machine"


def origin_text(made_with: str | None) -> str:
    """Machine, threads and version of torch that evidence was measured with.

    Args:
        made_with: JSON as `worker.py` writes it, or as anybody else did; `None` of an older build.
    """
    try:
        found = json.loads(made_with or "null")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return UNKNOWN
    threads = found.get("threads")
    told = {
        "host": found.get("host"),
        "cpu": found.get("cpu"),
        "device": None if found.get("device") == found.get("cpu") else found.get("device"),
        "threads": None if threads is None else f"{threads} {'thread' if threads == 1 else 'threads'}",
        "torch": None if found.get("torch") is None else f"torch {found['torch']}",
    }
    words = [str(one)[:80] for one in told.values() if one]
    return ", ".join(words) or UNKNOWN
