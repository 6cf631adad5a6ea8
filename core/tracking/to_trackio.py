"""Trackio: a local SQLite file; `trackio show` with the same `TRACKIO_DIR` draws it."""

import contextlib
import io
import os
from typing import Any

from core.tracking.tracker import PROJECT, Reading, Told


class Trackio:
    """Values as `curve/number` at the step of their curve."""

    def __init__(self, told: Told) -> None:
        told.folder.mkdir(parents=True, exist_ok=True)
        os.environ["TRACKIO_DIR"] = str(told.folder.resolve())  # read as it is imported
        import trackio

        self._trackio: Any = trackio
        with _quiet():
            self._run = trackio.init(
                project=PROJECT, name=told.run, config=dict(told.parameters), embed=False, auto_log_gpu=False,
                auto_log_cpu=False,
            )  # fmt: skip

    def tell(self, reading: Reading) -> None:
        """Note numbers."""
        self._run.log({f"{reading.name}/{name}": value for name, value in reading.values.items()}, step=reading.step)

    def close(self, finished: bool) -> None:
        """Write what is not written yet."""
        with _quiet():
            self._trackio.finish()  # and not the run's own: the module would finish it once more as Python ends


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Of “Uploading logs”, said of a file on this machine, nobody needs to read."""
    return contextlib.redirect_stdout(io.StringIO())
