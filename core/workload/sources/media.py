"""Folders of pictures and sounds by class, as tables of files. No torch."""

from collections.abc import Sequence
from pathlib import Path

from core.errors import SecateurError
from core.workload.sources.tables import Table

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
SOUNDS = (".wav",)


def by_class(path: Path, endings: Sequence[str], what: str) -> Table:
    """Files of a folder that has a folder for each class; columns `file` and `label`, in the order of names.

    Raises:
        SecateurError: it is no such folder, or one of its folders holds something else.
    """
    if not path.is_dir():
        raise SecateurError(f"{path.name} must be a folder with a folder of {what} for each class, and is a file")
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise SecateurError(f"{path} has no folder in it; put the {what} into a folder for each class")
    files: list[str] = []
    labels: list[str] = []
    for folder in classes:
        found = files_in(folder, endings, what)
        if not found:
            raise SecateurError(f"{folder} holds no {what} ({', '.join(endings)}); fill it or take it away")
        files += map(str, found)
        labels += [folder.name] * len(found)
    if len(files) < 2:
        raise SecateurError(f"{path} holds {len(files)} of {what}; a measurement needs at least 2: give it more")
    return Table(path, {"file": files, "label": labels}, len(files))


def with_masks(path: Path) -> Table:
    """Pictures and masks of the same names in the folders `images` and `masks`; columns `file` and `mask`.

    Raises:
        SecateurError: a folder is missing, or a picture has no mask.
    """
    places = (path / "images", path / "masks")
    if not all(place.is_dir() for place in places):
        raise SecateurError(f"{path} must hold the folders images and masks, with files of the same names")
    pictures = files_in(places[0], PICTURES, "pictures")
    masks = {mask.stem: mask for mask in files_in(places[1], (".png",), "masks")}
    alone = next((picture.name for picture in pictures if picture.stem not in masks), None)
    if alone is not None:
        raise SecateurError(f"{alone} in {places[0]} has no mask {Path(alone).stem}.png in {places[1]}; add it")
    if len(pictures) < 2:
        raise SecateurError(f"{places[0]} holds {len(pictures)} picture(s); a measurement needs at least 2")
    files = [str(picture) for picture in pictures]
    return Table(path, {"file": files, "mask": [str(masks[picture.stem]) for picture in pictures]}, len(files))


def files_in(folder: Path, endings: Sequence[str], what: str) -> list[Path]:
    """Files of these endings, in the order of names; others are refused but for those that begin with a dot."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    odd = next((entry for entry in entries if entry.suffix.lower() not in endings or not entry.is_file()), None)
    if odd is not None:
        raise SecateurError(f"{odd} is none of {what} ({', '.join(endings)}); take it away, or convert it")
    return entries
