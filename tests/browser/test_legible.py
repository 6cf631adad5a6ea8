"""Every screen, with none, little and much to show, light and dark, wide and narrow, can be read and reached."""

import pytest

from tests.browser.access import nameless, out_of_order, unseen_focus
from tests.browser.conftest import served
from tests.browser.legible import problems, walk
from tests.browser.sizes import ROWS, SCHEMES, WIDTHS, made

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(params=ROWS)
def address(request, tmp_path):
    with served("--workspace", made(tmp_path, request.param)) as found:
        yield request.param, found


def test_all_can_be_read_named_reached_in_order_and_seen_to_have_the_focus(address, open_page):
    """One page a scheme and screen; the widths are the same page made narrower."""
    size, found = address
    wrong = []
    for scheme in SCHEMES if size == "little" else SCHEMES[:1]:  # colours do not depend on how much there is
        page = open_page(f"{found}/?model=synthetic", scheme)
        devtools = page.context.new_cdp_session(page)
        widths = WIDTHS if scheme == SCHEMES[0] else WIDTHS[:1]  # nor places on colours
        for screen, width in walk(page, found, widths=widths, network=True):
            here = problems(page)
            if scheme == SCHEMES[0]:
                here += out_of_order(page)
                here += nameless(page, devtools) if width != WIDTHS[1] else []  # what is folded is so at the narrowest
            if size == "little" and width == WIDTHS[0]:
                here += unseen_focus(page)
            wrong += [(size, screen, scheme, width, *problem) for problem in here]
    assert not wrong, "\n".join(map(str, wrong))
