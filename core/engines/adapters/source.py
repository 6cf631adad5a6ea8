"""A model as engines' writers take it: as ONNX, or as an exported program, each made once."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.engines.engine import EngineUnavailable, export_reason, quiet
from core.engines.onnx_int8 import write_quantized_onnx
from core.engines.onnx_writer import CannotExportError, write_onnx
from core.errors import SecateurError
from core.workload.examples import Examples

FEW = 2  # examples that a graph for batches of any size is exported with


class Source:
    """A model, and what it is written as on the way to an engine.

    Args:
        model: in evaluation mode, on the CPU; not modified.
        inputs: one batch, as the model's positional arguments.
        calibration: whose ranges int8 takes; `None`: activations are quantized as they come.
        folder: for the files.
        dynamic: of each input the dimensions that files of engines which can shall leave free; `None`: they are for
            this batch alone, which some run faster.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: tuple[Tensor, ...],
        calibration: Examples | None,
        folder: Path,
        dynamic: tuple[tuple[int, ...], ...] | None = None,
    ) -> None:
        self.model, self.inputs, self.calibration, self.folder = model, inputs, calibration, folder
        self.dynamic = dynamic
        self._refused: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def onnx(self) -> Path:
        """An ONNX file for batches of any size.

        Raises:
            EngineUnavailable: the exporter cannot, with the operation that it stopped at.
        """
        return self._once("model.onnx", lambda path: write_onnx(self.model, self._few, path, None, self.dynamic))

    @property
    def scheme(self) -> str:
        """How int8 ONNX is made: `"static"` with calibration data, else `"dynamic"`."""
        return "dynamic" if self.calibration is None else "static"

    @property
    def onnx_int8(self) -> Path:
        """The same with int8 weights and activations.

        Raises:
            EngineUnavailable: the exporter or the quantizer cannot.
        """
        return self._once(
            "int8.onnx",
            lambda path: write_quantized_onnx(self.model, self._few, path, self.scheme, self.calibration),
        )

    @property
    def program(self) -> Path:
        """An exported program (`.pt2`) for this batch alone.

        Raises:
            EngineUnavailable: `torch.export` cannot.
        """
        return self._once("model.pt2", self._export)

    @cached_property
    def input_files(self) -> tuple[Path, ...]:
        """The batch, an array a file."""
        paths = []
        for i, tensor in enumerate(self.inputs):
            paths.append(self.folder / f"in{i}.npy")
            np.save(paths[-1], tensor.numpy())
        return tuple(paths)

    @property
    def _few(self) -> tuple[Tensor, ...]:
        rows = torch.arange(max(FEW, len(self.inputs[0]))) % len(self.inputs[0])
        return tuple(tensor[rows] for tensor in self.inputs)

    def _export(self, path: Path) -> None:
        with torch.no_grad():
            torch.export.save(torch.export.export(self.model, self.inputs), path)

    def _once(self, name: str, write: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if name in self._refused:
            raise EngineUnavailable(self._refused[name])
        if path.exists():
            return path
        try:
            with quiet():
                write(path)
        except CannotExportError as error:
            self._refused[name] = str(error)
        except SecateurError:
            raise
        except Exception as error:
            self._refused[name] = f"torch.export cannot write it: {export_reason(self.model, error)}"
        if name in self._refused:
            raise EngineUnavailable(self._refused[name])
        return path
