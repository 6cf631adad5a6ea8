"""The manual that comes with the program: which pages there are, and where a link between them leads when served."""

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "manual", PACKAGE.parent / "docs")  # in a wheel; in a checkout
INDEX = "README.md"
KINDS: Mapping[str, str] = MappingProxyType(  # what is served beside pages
    {".png": "image/png", ".json": "application/json", ".txt": "text/plain; charset=utf-8"}
)
ROUTE = "/manual/{name:path}"


def folder() -> Path | None:
    """Where the manual lies; `None` if somebody removed it."""
    return next((place for place in PLACES if (place / INDEX).is_file()), None)


class Manual:
    """The files of a folder that may be served, by name.

    Attributes:
        pages: `tuning` → its file, in the order in which the index names them, the index first, as `""`.
        files: `pictures/map.png` → its file.
    """

    def __init__(self, folder: Path) -> None:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        self._sources = {path.relative_to(folder).as_posix(): path for path in found if path.suffix == ".md"}
        index = self._sources.pop(INDEX)
        listed = dict.fromkeys(re.findall(r"\]\((?:\./)?([\w/.-]+\.md)", index.read_text(encoding="utf-8")))
        order = [name for name in listed if name in self._sources]
        order += [name for name in self._sources if name not in listed]
        self.pages = {"": index} | {name.removesuffix(".md"): self._sources[name] for name in order}
        self.files = {path.relative_to(folder).as_posix(): path for path in found if path.suffix in KINDS}

    def text(self, name: str) -> str:
        """A page's Markdown."""
        return self.pages[name].read_text(encoding="utf-8")

    def title(self, name: str) -> str:
        """A page's first heading, without marks of code; its name, if there is none."""
        heading = re.search(r"^# (.+?) *#*$", self.text(name), flags=re.MULTILINE)
        return heading[1].replace("`", "") if heading else name

    def address(self, page: str, link: str) -> str | None:
        """Where a link leads when `page` is served.

        Args:
            page: the page that it stands on.
            link: as written there, for readers of the repository: `tuning.md#goals`, `pictures/map.png`, `#marks`.

        Returns:
            Relative to the page, so that it holds below any base path; unchanged if it leads to the web or stays on
            the page; `None` if it leads to a file of the repository that is not part of the manual.
        """
        path, mark, anchor = link.partition("#")
        if not path or re.match(r"[a-z][a-z0-9+.-]*:", path):
            return link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        name = "" if target == INDEX else target.removesuffix(".md")
        if name in self.pages and target.endswith(".md"):
            return relative(name, page) + mark + anchor
        return relative(target, page) if target in self.files else None


def relative(name: str, page: str) -> str:
    """Address of a page or file as seen from a page, which may lie in a folder."""
    return ("../" * page.count("/") + name) or "./"
