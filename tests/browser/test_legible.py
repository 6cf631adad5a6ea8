"""Every screen, with none, little and much to show, light and dark, wide and narrow: all of its text can be read."""

import pytest

from tests.browser.conftest import served
from tests.browser.legible import problems, settled
from tests.browser.sizes import ROWS, SCHEMES, SCREENS, WIDTHS, made

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(params=ROWS)
def address(request, tmp_path):
    with served("--workspace", made(tmp_path, request.param)) as found:
        yield request.param, found


def test_no_text_is_cut_overprinted_or_faint(address, open_page):
    """One page a scheme and screen; the widths are the same page made narrower."""
    size, found = address
    wrong = []
    for scheme in SCHEMES if size == "little" else SCHEMES[:1]:  # colours do not depend on how much there is
        page = open_page(f"{found}/?model=synthetic", scheme)
        for screen, path in SCREENS.items():
            page.goto(f"{found}/{path}?model=synthetic")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 1000})
                settled(page)
                wrong += [(size, screen, scheme, width, *problem) for problem in problems(page)]
    assert not wrong, "\n".join(map(str, wrong))
