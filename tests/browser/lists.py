"""Lists of a screen that draws itself again while somebody chooses."""

from playwright.sync_api import Locator, TimeoutError

TIMES, MILLISECONDS = 10, 10_000


def choose(box: Locator, option: Locator) -> None:
    """Take an option of a list; one that was closed since the page was drawn again meanwhile is opened again."""
    for _ in range(TIMES):
        box.click()
        try:
            option.click(timeout=MILLISECONDS)
        except TimeoutError:
            box.page.keyboard.press("Escape")
        else:
            return
    raise AssertionError(f"the list was opened {TIMES} times and never showed {option}")
