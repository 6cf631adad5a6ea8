"""Asking long work to stop; what was measured before is on disk."""


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The work was asked to stop; what was measured before is on disk."""


def never_stop() -> None:
    """The default for `check`: nobody can ask this measurement to stop."""
