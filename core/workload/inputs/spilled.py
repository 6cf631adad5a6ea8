"""Data that do not fit into memory: each item is decoded once, written to a file, and mapped from there.

Reading an item anew for every batch of every cell would decode each picture hundreds of times. A mapped tensor is a
tensor like any other, so that order, hashes, checks and batches are the same as of data in memory; its pages are the
file's, which the system takes back when it needs the room. The file has no name: it is gone when the process is.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import psutil
import torch
from torch import Tensor

from core.errors import SecateurError
from core.workload.device import free_memory
from core.workload.examples import Examples, tensor_bytes

CHUNK = 64 * 2**20  # bytes of a column that wait in memory before they are written
LEFT = 2**30  # bytes of a disk that others may need
IN_MEMORY = ("tmpfs", "ramfs", "zfs-ram", "devtmpfs")  # folders of such systems take the memory they should spare


def room() -> int:
    """Bytes that data may take in memory: half of what is free, for joining their items takes as much again."""
    return free_memory(torch.device("cpu")) // 2


class Column:
    """Tensors of one name in the order in which they come: in memory, or in a file from the moment it is given one.

    Attributes:
        parts: all of them; those that were written are views of the file.
    """

    def __init__(self) -> None:
        self.parts: list[Tensor] = []
        self._file: IO[bytes] | None = None
        self._n_written = self._waiting = 0

    @property
    def on_disk(self) -> bool:
        """Whether it has a file."""
        return self._file is not None

    def append(self, part: Tensor) -> None:
        """Take one more.

        Raises:
            SecateurError: the disk is full.
        """
        self.parts.append(part)
        if self._file is not None:
            self._waiting += part.nbytes
            if self._waiting >= CHUNK:
                self.flush()

    def to_disk(self) -> None:
        """From now on parts are written; those that are here, now."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=_place())  # noqa: SIM115  # closed with the column; maps of it stay
            weakref.finalize(self, self._file.close)
            self.flush()

    def flush(self) -> None:
        """Write what waits, and keep views of the file in its place."""
        if self._file is None or self._n_written == len(self.parts):
            return
        waiting = [(i, part) for i, part in enumerate(self.parts) if i >= self._n_written and part.nbytes]
        start, places = self._file.tell(), []
        _check_disk(self._file, sum(part.nbytes for _, part in waiting))
        try:
            for _, part in waiting:
                self._file.write(bytes(-self._file.tell() % part.element_size()))  # a number begins where it may
                places.append(self._file.tell() - start)
                self._file.write(tensor_bytes(part))
            self._file.flush()
        except OSError as error:
            raise _full(error.strerror or str(error)) from None
        if waiting:
            mapped = self._mapped(start)
            for (i, part), at in zip(waiting, places, strict=True):
                self.parts[i] = mapped[at : at + part.nbytes].view(part.dtype).view(part.shape)
        self._n_written, self._waiting = len(self.parts), 0

    def whole(self, batched: bool) -> Tensor:
        """All of them as one tensor: behind each other where they are batches, else stacked. Of one type and shape."""
        if self._file is None:
            return torch.cat(self.parts) if batched else torch.stack(self.parts)
        self.flush()
        first, n_bytes = self.parts[0], sum(part.nbytes for part in self.parts)
        n = sum(map(len, self.parts)) if batched else len(self.parts)
        shape = (n, *first.shape[int(batched) :])
        if not n_bytes:
            return torch.empty(shape, dtype=first.dtype)
        return self._mapped(0)[:n_bytes].view(first.dtype).view(shape)

    def _mapped(self, start: int) -> Tensor:
        assert self._file is not None
        # copy on write: whoever writes into an example changes a page of its own, as with data in memory
        found = np.memmap(self._file, np.uint8, "c", offset=start, shape=(self._file.tell() - start,))
        self._file.seek(0, os.SEEK_END)
        return torch.from_numpy(found)


class Columns:
    """Columns of items that come one by one: in memory until they take more than there is room for, then in files.

    Args:
        n_items: that will come at most; `None` if that is not known: then they must fit into memory, for data without
            an end would fill the disk.
        n_bytes: that they may take in memory; `None` for `room()`.
        limit: examples that will come at most, where items may be batches of them.
    """

    def __init__(self, n_items: int | None, n_bytes: int | None = None, limit: int | None = None) -> None:
        self.by_name: dict[str | None, Column] = {}
        self.on_disk = False
        self._room, self._n_bytes = room() if n_bytes is None else n_bytes, 0
        self._n_items, self._n = n_items, 0
        self._limit, self._n_examples = limit, 0

    def add(self, values: Mapping[str | None, Tensor], n_examples: int = 1) -> None:
        """Take the tensors of one item, by name, which holds so many examples.

        Raises:
            SecateurError: they fit neither into memory nor on a disk.
        """
        for name, value in values.items():
            if name not in self.by_name:
                self.by_name[name] = Column()
                if self.on_disk:
                    self.by_name[name].to_disk()
            self.by_name[name].append(value)
            self._n_bytes += value.nbytes
        self._n += 1
        self._n_examples += n_examples
        if not self.on_disk and self._n_bytes > self._room:
            self._leave_memory()

    def _leave_memory(self) -> None:
        here = [self._n / self._n_items] if self._n_items else []
        here += [self._n_examples / self._limit] if self._limit else []  # whichever ends first
        if not here:
            raise SecateurError(
                f"the data do not fit into memory: {self._n:,} items take {self._n_bytes / 1e9:.1f} GB, and nothing "
                "says how many are still to come; say it with limit= (then they may lie in a file), or give a Dataset "
                "that has a length"
            )
        free = shutil.disk_usage(place := _place()).free
        if (needed := self._n_bytes / min(1.0, max(here))) > free - LEFT:
            what = f"the first {self._limit:,} examples" if self._limit else f"all {self._n_items:,} items"
            raise _full(f"{what} take some {needed / 1e9:.1f} GB, and {place} has "
                        f"{free / 1e9:.1f} GB free, of which {LEFT / 1e9:.0f} GB are left to others")  # fmt: skip
        self.on_disk = True
        for column in self.by_name.values():
            column.to_disk()

    def close(self) -> None:
        """Nothing more comes: what waits in memory is written too, if anything was."""
        for column in self.by_name.values():
            column.flush()


def stacked(parts: Iterable[Tensor], n: int) -> tuple[Tensor, bool]:
    """Tensors of one shape and type as one, (n, …), and whether it lies on disk. They are read one by one.

    Raises:
        SecateurError: they fit neither into memory nor on a disk.
    """
    columns = Columns(n)
    for part in parts:
        columns.add({None: part})
    return columns.by_name[None].whole(batched=False), columns.on_disk


def rewritten(parts: Iterable[Tensor]) -> Column:
    """Other parts, made of those of a column on disk, on disk too."""
    found = Column()
    found.to_disk()
    for part in parts:
        found.append(part)
    return found


def rows_of(examples: Examples, positions: Tensor) -> Examples:
    """The examples at `positions`, int64 (k,); those of data on disk are on disk too, others are copied."""
    if not examples.on_disk:
        return examples.take(positions)
    at: Sequence[int] = positions.tolist()
    tensors = [rewritten(tensor[i] for i in at).whole(batched=False) for tensor in examples.tensors]
    return Examples(tuple(tensors[:-1]), tensors[-1], examples.names, examples.padded, on_disk=True)


def _place() -> Path:
    """A folder on a disk: what `TMPDIR` says, or where a system keeps large temporary files.

    Raises:
        SecateurError: there is none but in memory.
    """
    given = os.environ.get("TMPDIR")
    for place in [Path(given)] if given else [Path("/var/tmp"), Path(tempfile.gettempdir())]:
        if place.is_dir() and os.access(place, os.W_OK) and _system(place) not in IN_MEMORY:
            return place
    raise _full("no folder for temporary files lies on a disk" + (f", TMPDIR is {given}" if given else ""))


def _system(place: Path) -> str:
    """Kind of the file system that a folder lies in; empty if not known."""
    above = [
        (len(mount.mountpoint), mount.fstype)
        for mount in psutil.disk_partitions(all=True)
        if place.resolve().is_relative_to(mount.mountpoint)
    ]
    return max(above, default=(0, ""))[1]


def _check_disk(file: IO[bytes], n_bytes: int) -> None:
    free = shutil.disk_usage(file.fileno()).free
    if n_bytes > free - LEFT:
        raise _full(f"of the disk under {_place()} {free / 1e9:.1f} GB are free, and {LEFT / 1e9:.0f} GB are left")


def _full(why: str) -> SecateurError:
    return SecateurError(
        f"the data do not fit into memory, nor into a file: {why}; give fewer (limit=, or a part of them), or name a "
        "folder with room: TMPDIR=/large/disk"
    )
