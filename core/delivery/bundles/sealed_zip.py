"""A zip of a bundle that ends with the hash of all that stands before it, so that any changed byte is seen.

The hash is the archive's comment, which every program that reads zips leaves alone. Without it, bytes that no reader
looks at could change: dates, attributes, the bits that fill up a compressed stream.
"""

import hashlib
import lzma
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from core.errors import SecateurError

SEAL = 64  # hexadecimal digits of SHA-256, the last bytes of the file


def write_zip(folder: Path, archive: Path, name: str) -> None:
    """Pack every file of a folder, under `name`, and seal the archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.comment = b"0" * SEAL
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            out.write(path, f"{name}/{path.relative_to(folder).as_posix()}")
    with archive.open("r+b") as file:
        seal = _hash_before_seal(file.fileno(), archive.stat().st_size)
        file.seek(-SEAL, os.SEEK_END)
        file.write(seal)


def check_seal(archive: Path) -> None:
    """Compare an archive with its seal, without unpacking it.

    Raises:
        SecateurError: it cannot be read, any of its bytes was changed, or it was never sealed.
    """
    try:
        with archive.open("rb") as file:
            size = archive.stat().st_size
            seal = _hash_before_seal(file.fileno(), size) if size > SEAL else b""
            file.seek(max(0, size - SEAL))
            said = file.read()
    except OSError as error:
        raise SecateurError(f"cannot read {archive}: {error.strerror or error}; name a zip that was exported") from None
    if seal != said:
        raise SecateurError(
            f"{archive} is not the archive that was exported (its seal differs, or it has none, as those of older "
            "versions); if you trust it, unzip it and name the folder, or export it again"
        )


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a sealed zip into an empty folder; the bundle's folder in it.

    Raises:
        SecateurError: as `check_seal`; or it holds something else than the files of one folder.
    """
    check_seal(archive)
    try:
        with zipfile.ZipFile(archive) as packed:
            roots = {_checked(info, archive) for info in packed.infolist()}
            needed, free = sum(info.file_size for info in packed.infolist()), shutil.disk_usage(into).free
            if len(roots) != 1:
                raise SecateurError(f"{archive} holds {len(roots)} folders, a bundle is one; export it again")
            if needed > free:
                raise SecateurError(f"{archive} unpacks to {needed:,} bytes, {free:,} are free; free some space")
            packed.extractall(into)
    except OSError as error:
        raise SecateurError(f"cannot read {archive}: {error.strerror or error}; name a zip that was exported") from None
    except (
        zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        if isinstance(error, SecateurError):
            raise
        raise SecateurError(f"{archive} is damaged ({error}); export it again") from None
    return into / roots.pop()


def _hash_before_seal(descriptor: int, size: int) -> bytes:
    found = hashlib.sha256()
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        left = size - SEAL
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            found.update(part)
            left -= len(part)
    return found.hexdigest().encode()


def _checked(info: zipfile.ZipInfo, archive: Path) -> str:
    """The folder that an entry lies in, if it lies in one and is a plain file."""
    parts = PurePosixPath(info.filename).parts
    kind = stat.S_IFMT(info.external_attr >> 16)
    if len(parts) < 2 or ".." in parts or parts[0] == "/" or "\\" in info.filename or kind not in (0, stat.S_IFREG):
        raise SecateurError(f"{archive} holds {info.filename!r}, which is no file of a bundle; it is refused")
    return parts[0]
