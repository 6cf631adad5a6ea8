"""The machine that something was measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from core.profiling.report import Machine


def this_machine(device: torch.device) -> Machine:
    """A description of this machine, for whoever reads the times elsewhere."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = f"{device.type}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
    try:
        onnxruntime = version("onnxruntime")
    except PackageNotFoundError:
        onnxruntime = None
    system = f"{platform.system()} {platform.machine()}"
    return Machine(_cpu_name(), cores, system, name, torch.__version__, onnxruntime)


def _cpu_name() -> str:
    """The processor as its maker calls it; `platform` knows no more than its architecture on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
