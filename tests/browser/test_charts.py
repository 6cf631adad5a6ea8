"""What a chart offers, and that it stays as high as it was: the browser's half of `plotly_live`, by itself."""

import base64
import json
import re

import pytest
from plotly.graph_objects import Figure, Scatter
from plotly.offline import get_plotlyjs

from dashboard.frame.plotly_live import JS
from tests.imports import MODULES

pytestmark = [pytest.mark.browser]
HEIGHT = 360


@pytest.fixture(scope="module")
def draw(chromium):
    """Draw a figure on a bare page, in place of the one before; returns the page."""
    page = chromium.new_page(viewport={"width": 1000, "height": 700})
    page.set_content("<main><div class='secateur-plot' style='width:100%'></div></main>")
    page.add_script_tag(content=get_plotlyjs())
    source = base64.b64encode(JS.encode()).decode()
    page.evaluate(f"""async () => {{
        window.__secateurPlotly = Promise.resolve(window.Plotly)
        window.chart = await import('data:text/javascript;base64,{source}') }}""")

    def draw_(figure):
        page.evaluate(
            """async figure => { chart.default({ data: { figure, label: 'a chart', url: '', file: 'a-chart' },
                parentElement: document.querySelector('main'), setTriggerValue: () => {} })
                await new Promise(done => setTimeout(done, 400)) }""",
            figure.to_json(),
        )
        return page

    yield draw_
    page.close()


def a_figure(y):
    return Figure(Scatter(x=[0, 1], y=[0, y])).update_layout(height=HEIGHT)


def test_no_chart_offers_to_upload_itself(draw):
    page = draw(a_figure(1))
    titles = page.locator(".modebar-btn").evaluate_all("all => all.map(one => one.dataset.title || one.ariaLabel)")
    assert "Zoom" in titles
    assert not [title for title in titles if re.search("share|cloud|send|edit", title, re.IGNORECASE)]
    # nor is there anywhere to send to, should a button come back under another name
    assert page.evaluate("document.querySelector('.secateur-plot')._context.plotlyServerURL") == ""


def test_every_chart_is_drawn_by_the_one_that_offers_none():
    native = [name for name, path in MODULES.items() if re.search(r"\.plotly_chart\(", path.read_text())]
    assert native == []


def test_a_chart_that_was_updated_in_place_keeps_its_height_when_the_window_is_resized(draw):
    draw(a_figure(1))
    page = draw(a_figure(2))
    assert json.loads(page.evaluate("JSON.stringify(document.querySelector('.secateur-plot').data[0].y)"))[1] == 2
    page.set_viewport_size({"width": 700, "height": 700})
    page.wait_for_timeout(500)
    box = page.locator(".secateur-plot .main-svg").first.bounding_box()
    assert (box["height"], box["width"] < 700) == (HEIGHT, True)


def test_a_chart_that_is_left_while_it_is_drawn_meets_no_error(draw):
    page = draw(a_figure(1))
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    figures = [a_figure(y).update_yaxes(automargin=True, title=f"left after {y}").to_json() for y in range(6)]
    page.evaluate(
        """async figures => {
            for (const [wait, figure] of figures.entries()) {
                const parent = document.createElement('div')
                parent.innerHTML = "<div class='secateur-plot'></div>"
                document.body.append(parent)
                const leave = chart.default({ data: { figure, label: 'a chart', url: '', file: 'a-chart' },
                    parentElement: parent, setTriggerValue: () => {} })
                for (let k = 0; k < wait; k++) await Promise.resolve()
                parent.remove()
                leave()
            }
            await new Promise(done => setTimeout(done, 600)) }""",
        figures,
    )
    assert errors == []
