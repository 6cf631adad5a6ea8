"""Every screen leads to the page of the manual that helps with it."""

from pathlib import Path

import pytest

from dashboard.frame import help
from dashboard.serving.manual import Manual, folder

SCREENS = sorted(path.parent.name for path in (Path(help.__file__).parents[1] / "screens").glob("*/screen.py"))


def test_every_screen_has_a_page_and_every_page_that_is_linked_exists():
    assert sorted(help.PAGE_OF) == SCREENS
    assert {*help.PAGE_OF.values(), help.NUMBERS, help.ERRORS, help.GLOSSARY} <= set(Manual(folder()).pages)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_strip_links_to_the_page_of_its_screen_and_to_how_numbers_are_read(workspace, open_screen, screen):
    app = open_screen(screen, workspace[1])
    (line,) = (one.value for one in app.caption if "Help for this screen" in one.value)
    assert f"(manual/{help.PAGE_OF[screen]})" in line
    assert f"(manual/{help.NUMBERS})" in line
    assert f"(manual/{help.GLOSSARY})" in line


def test_where_a_model_of_ones_own_is_told_of_its_page_is_linked(workspace, open_screen):
    app = open_screen("model", workspace[1])
    (told,) = (one.value for one in app.markdown if "secateur init" in one.value)
    assert "(manual/your-model)" in told
