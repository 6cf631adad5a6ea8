"""Trackio: a local SQLite file; `trackio show` with the same `TRACKIO_DIR` draws it."""

import os

from core.tracking.tracker import PROJECT, Reading, Told


class Trackio:
    """Values as `curve/number` at the step of their curve."""

    def __init__(self, told: Told) -> None:
        told.folder.mkdir(parents=True, exist_ok=True)
        os.environ["TRACKIO_DIR"] = str(told.folder.resolve())  # read as it is imported
        import trackio

        self._run = trackio.init(
            project=PROJECT, name=told.run, config=dict(told.parameters), embed=False, auto_log_gpu=False,
            auto_log_cpu=False,
        )  # fmt: skip

    def tell(self, reading: Reading) -> None:
        """Note numbers."""
        self._run.log({f"{reading.name}/{name}": value for name, value in reading.values.items()}, step=reading.step)

    def close(self, finished: bool) -> None:
        """Write what is not written yet."""
        self._run.finish()
