"""TensorBoard: event files of a run, by PyTorch's own writer."""

from typing import Any

from core.tracking.tracker import Reading, Told


class TensorBoard:
    """Scalars as `curve/number`; the parameters as a table of text."""

    def __init__(self, told: Told) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(told.folder / told.run))
        rows = "".join(f"| {name} | {value.replace('|', '/')} |\n" for name, value in told.parameters.items())
        self._writer.add_text("parameters", f"| name | value |\n| --- | --- |\n{rows}")

    def tell(self, reading: Reading) -> None:
        """Note numbers."""
        for name, value in reading.values.items():
            self._writer.add_scalar(f"{reading.name}/{name}", value, reading.step)

    def close(self, finished: bool) -> None:
        """Write what is not written yet."""
        self._writer.close()
