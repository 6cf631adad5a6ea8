"""Files as columns of plain values: CSV, TSV, JSON lines, JSON, Parquet, text, what `datasets` saved. No torch."""

import csv
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.bounded import DATA_BYTES, read_text
from core.errors import SecateurError

MAX_FIELD = 10_000_000  # signs in one field of a CSV


@dataclass(frozen=True)
class Table:
    """Rows of a file.

    Attributes:
        path: of the file.
        columns: by name, n values each, in the order of the file.
        n: rows.
    """

    path: Path
    columns: Mapping[str, list[Any]]
    n: int

    def where(self, row: int) -> str:
        """A row for people, counted from 1."""
        return f"row {row + 1} of {self.path.name}"


def read_table(path: Path) -> Table:
    """A file by its ending, or a folder that `datasets` saved.

    Raises:
        SecateurError: another ending; or it is empty, damaged, not UTF-8, or has rows of several lengths.
    """
    if path.is_dir():
        return _finished(path, _saved_folder(path))
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SecateurError(
            f"data in {path.suffix or 'a file without ending'} is not read ({path.name}); give one of "
            f"{', '.join(READERS)}, a folder of pictures or sounds by class, or a folder of save_to_disk"
        )
    try:
        return _finished(path, reader(path))
    except UnicodeDecodeError as error:
        raise SecateurError(
            f"{path.name} is not UTF-8 (byte {error.start}); convert it: "
            f"iconv -f latin1 -t utf-8 {path.name} > utf8-{path.name}"
        ) from None
    except OSError as error:
        raise SecateurError(f"{path} cannot be read: {error.strerror or error}; restore it") from None


def _finished(path: Path, columns: Mapping[str, list[Any]]) -> Table:
    n = len(next(iter(columns.values()), []))
    first = str(next(iter(columns.values()))[0]) if n else ""
    is_running = path.suffix == ".txt" and len(first.split()) > 1  # a text may be one line, of many blocks
    if n < (1 if is_running else 2):
        raise SecateurError(f"{path.name} holds {n} row(s) of data; a measurement needs at least 2: give it more")
    return Table(path, columns, n)


def _separated(path: Path, sign: str) -> dict[str, list[Any]]:
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=sign, strict=True)
        try:
            header = next(rows, [])
            _check_header(header, path, sign)
            columns: list[list[Any]] = [[] for _ in header]
            for row in rows:
                if not row:
                    continue  # an empty line
                if len(row) != len(header):
                    raise SecateurError(
                        f"line {rows.line_num} of {path.name} has {len(row)} field(s), its header {len(header)}; "
                        "put text that holds the separator into double quotes"
                    )
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        except csv.Error as error:
            raise SecateurError(f"line {rows.line_num} of {path.name} is no proper CSV: {error}; mend it") from None
    return dict(zip(header, columns, strict=True))


def _check_header(header: list[str], path: Path, sign: str) -> None:
    names = [name.strip() for name in header]
    if not header or not all(names):
        raise SecateurError(f"the first line of {path.name} must name every column, got {header!r}; add a header")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SecateurError(f"two columns of {path.name} are called {twice!r}; rename one")
    if any("\0" in name for name in names):
        raise SecateurError(f"{path.name} holds null bytes and is no text; is it another kind of file?")
    other = ";" if sign == "," else ","
    if len(names) == 1 and (other in names[0] or "\t" in names[0]):
        raise SecateurError(
            f"{path.name} has one column {names[0][:60]!r}; separate with commas, or name a file with tabs .tsv"
        )
    header[:] = names


def _json_lines(path: Path) -> dict[str, list[Any]]:
    def objects() -> Iterator[tuple[str, Any]]:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number} of {path.name}", _parsed_json(line, f"line {number} of {path.name}")

    return _of_objects(objects())


def _json(path: Path) -> dict[str, list[Any]]:
    found = _parsed_json(read_text(path, "the data", DATA_BYTES, "utf-8-sig"), path.name)
    if not isinstance(found, list):
        raise SecateurError(f"{path.name} must hold a list of objects, got {type(found).__name__}; or use .jsonl")
    return _of_objects((f"entry {i + 1} of {path.name}", value) for i, value in enumerate(found))


def _parsed_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SecateurError(f"{where} is no JSON ({error}); mend it") from None


def _of_objects(objects: Iterator[tuple[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for n, (where, found) in enumerate(objects):
        if not isinstance(found, dict):
            raise SecateurError(f'{where} must be an object, {{"column": value}}; got {type(found).__name__}')
        if n == 0:
            columns = {name: [] for name in found}
        if found.keys() != columns.keys():
            odd = sorted(found.keys() ^ columns.keys())[0]
            raise SecateurError(f"{where} and the first differ in {odd!r}; give every object the same names")
        for name, value in found.items():
            columns[name].append(value)
    return columns


def _lines(path: Path) -> dict[str, list[Any]]:
    text = read_text(path, "the data", DATA_BYTES, "utf-8-sig")
    if "\0" in text:
        raise SecateurError(f"{path.name} holds null bytes and is no text; is it another kind of file?")
    return {"text": [line for line in text.splitlines() if line.strip()]}


def _parquet(path: Path) -> dict[str, list[Any]]:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    try:
        found: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except (arrow.ArrowException, ValueError) as error:
        raise SecateurError(f"{path.name} is no Parquet that can be read ({error}); write it again") from None
    return found


def _saved_folder(path: Path) -> dict[str, list[Any]]:
    """Arrow files that `datasets` names in `state.json`; read with pyarrow, which Streamlit brings."""
    state = path / "state.json"
    if (path / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        raise SecateurError(f"{path.name} holds several splits; name one of them: {', '.join(splits)}")
    if not state.is_file():
        raise SecateurError(f"{path} is a folder without state.json, so no saved dataset; give a file of data")
    arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    named = _parsed_json(read_text(state, "the list of a dataset"), state.name)
    files = named.get("_data_files") if isinstance(named, dict) else None
    if named.get("_indices_files") if isinstance(named, dict) else None:
        raise SecateurError(f"{path.name} keeps an order of its own; save it again after dataset.flatten_indices()")
    names = [str(file.get("filename")) for file in files or () if isinstance(file, dict)]
    if not names or not all(name == Path(name).name and name not in ("", ".", "..") for name in names):
        raise SecateurError(f"state.json of {path.name} must name its Arrow files, inside the folder; save it again")
    columns: dict[str, list[Any]] = {}
    for name in names:
        try:
            with arrow.memory_map(str(path / name)) as source:
                part = ipc.open_stream(source).read_all().to_pydict()
        except (arrow.ArrowException, OSError) as error:
            raise SecateurError(f"{path.name}/{name} cannot be read ({error}); save the dataset again") from None
        for column, values in part.items():
            columns.setdefault(column, []).extend(values)
    return columns


Reader = Callable[[Path], dict[str, list[Any]]]
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": lambda path: _separated(path, ","),
        ".tsv": lambda path: _separated(path, "\t"),
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json,
        ".parquet": _parquet,
        ".txt": _lines,
    }
)
