"""The map's component on a bare page, without Streamlit: for tests, pictures and timings."""

import base64
from typing import Any

from dashboard.maps.component import CSS, HTML, JS

NAMES = ("text", "background", "border", "primary")
THEMES = {
    name: ";".join(f"--st-{what}-color:{colour}" for what, colour in zip(NAMES, colours, strict=True))
    for name, colours in {
        "light": ("#31333f", "#fbfcfb", "#d5ddd8", "#2f7d5b"),
        "dark": ("#fafafa", "#121714", "#3a443e", "#2f855a"),
    }.items()
}
SHARED = "--st-font:'Source Sans','DejaVu Sans',sans-serif;--st-button-radius:6px;padding:12px"
TAKE = """async data => {
    window.sent = window.sent || []
    const note = kind => (name, value) => window.sent.push([kind, name, value])
    window.map_module.default({ data, parentElement: window.host,
        setTriggerValue: note('trigger'), setStateValue: note('state') })
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
}"""


def open_map(page: Any, data: dict[str, Any], theme: str = "light") -> None:
    """Draw a map on an empty page; what its hands send is in `window.sent`."""
    blank(page, theme)
    give(page, data)


def blank(page: Any, theme: str = "light") -> None:
    """A page with the component and no map in it yet."""
    style = f"{THEMES[theme]};{SHARED};background:var(--st-background-color)"
    page.set_content(f'<style>body{{margin:0}}</style><main style="{style}"></main>')
    page.evaluate(  # a component lives in a shadow root
        "html => { const main = document.querySelector('main'); window.host = main.attachShadow({ mode: 'open' })\n"
        "host.innerHTML = html }",
        f"<style>{CSS}</style>{HTML}",
    )
    source = base64.b64encode(JS.encode()).decode()
    page.evaluate(
        f"async () => {{ window.sent = []; window.map_module = await import('data:text/javascript;base64,{source}') }}"
    )


def give(page: Any, data: dict[str, Any]) -> None:
    """The next data, in place of what is drawn; back when it is painted."""
    page.evaluate(TAKE, data)


def cell_at(page: Any, row: int, column: int) -> tuple[float, float]:
    """Centre of a cell of the first map of any page, counted in network order."""
    page.locator(".map .view").first.wait_for()
    page.wait_for_timeout(300)
    x, y = page.locator(".map").first.evaluate(
        """(root, [row, column]) => {
            const { place, itemOf, parts } = root.secateur, k = itemOf.get(row)
            const box = parts.view.getBoundingClientRect()
            return [box.left + place.xs[column] + place.column / 2,
                    box.top + place.tops[k] + place.heights[k] / 2 - parts.view.scrollTop] }""",
        [row, column],
    )
    return x, y


def state(page: Any, what: str) -> Any:
    """Something of the component's own state, as `shown.length`."""
    return page.evaluate(f"window.host.querySelector('.map').secateur.{what}")
