"""Asking long work to stop; what was measured before is on disk."""

from core.errors import AskedToStop


class Cancelled(AskedToStop):
    """The work was asked to stop; what was measured before is on disk."""


def never_stop() -> None:
    """The default for `check`: nobody can ask this measurement to stop."""
