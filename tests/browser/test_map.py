"""The map in a real browser: keys, folding, sorting, the tick of the tolerance, and what it asks of the server."""

import base64
import io
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import expect

from core.plans.plan import Cut
from core.sensitivity.maps.colours import BETTER_ENDS, WORSE_ENDS, step_of
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.metric import accuracy
from dashboard.frame.theme import LIGHT
from dashboard.maps.component import PURE, joined
from dashboard.maps.data import map_data, map_text
from tests.browser.bare_map import give, open_map, state
from tests.browser.conftest import served
from tests.browser.sizes import made

pytestmark = [pytest.mark.browser]
NAMES = ("stem", *(f"stage.{block}.{layer}" for block in range(4) for layer in ("a", "b", "c")), "fc")


def cell(target, sparsity, drop, spread=0.001):
    estimate = Estimate(drop, drop - spread, drop + spread, 500)
    cut = Cut(target, "weight", sparsity, "magnitude")
    return CellResult(cut, 5, 10 + len(target), "measured", estimate, estimate)


# every third row gains, and the later a row the more it costs at 90 %
CELLS = tuple(
    found
    for i, name in enumerate(NAMES)
    for found in (cell(name, 0.5, -0.02 if i % 3 == 0 else 0.001, 0.005), cell(name, 0.9, 0.01 * i + 0.005))
)
GRID = sparsity_grid(CELLS)
TEXT = map_text(GRID, SensitivityReport("r", "m", accuracy().scale, None, CELLS), "layer × sparsity")


def data(tolerance=0.01, **more):
    return map_data(TEXT, GRID, tolerance, LIGHT, "Drop of every layer", **more)


@pytest.fixture(scope="module")
def shared(chromium):
    page = chromium.new_page(viewport={"width": 1000, "height": 900})
    yield page
    page.close()


@pytest.fixture
def page(shared):
    """The map of `CELLS`, drawn anew."""
    problems = []

    def note(error):
        problems.append(error)

    shared.on("pageerror", note)
    open_map(shared, data())
    yield shared
    shared.remove_listener("pageerror", note)
    assert not problems


def sent(page):
    return page.evaluate("window.sent")


def colour_at(page, name, column):
    """Red, green, blue in the middle of a cell's left half, where no mark is."""
    return page.evaluate(
        """([name, column]) => {
            const map = window.host.querySelector('.map').secateur, scale = window.devicePixelRatio
            const row = map.known.rows.findIndex(row => row.name === name), k = map.itemOf.get(row)
            const x = map.place.xs[column] + map.place.column * 0.1
            const y = map.place.tops[k] + map.place.heights[k] / 2 - map.parts.view.scrollTop
            return [...map.pen.getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3)
        }""",
        [name, column],
    )


def test_colours_are_pythons(shared):
    source = base64.b64encode(joined(PURE).encode()).decode()
    drops = [-1.0, -0.04, -0.03, -0.0001, 0.0, 0.0001, 0.01, 0.0100001, 0.04, 0.08, 0.7]
    steps = shared.evaluate(
        f"async ([drops, ends]) => {{ const m = await import('data:text/javascript;base64,{source}')\n"
        "return drops.map(drop => m.stepOf(drop, 0.01, ends)) }",
        [drops, {"worse": WORSE_ENDS, "better": BETTER_ENDS}],
    )
    assert steps == [step_of(drop, 0.01) for drop in drops]


def test_arrows_move_enter_chooses_and_c_cuts(page):
    page.locator(".view").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".said")).to_contain_text("stem: 90 % removed")
    expect(page.get_by_role("gridcell")).to_contain_text("drop +0.50 points")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("c")
    assert sent(page) == [
        ["trigger", "hit", {"row": 0, "column": 1, "act": "choose"}],
        ["trigger", "hit", {"row": 0, "column": 1, "act": "cut"}],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "drop~90", "limit~50~turned", "size~turned~fit", "network~flat", "network~fit~fold~stage.0~stage.2",
        "drop~50~folded~but~stage~stage.1", "network~folded",
    ],
)  # fmt: skip
def test_how_rows_are_shown_is_said_in_a_few_words_and_understood_again(page, text):
    page.get_by_label("Sort rows by").select_option("network")
    give(page, {**data(), "how": {"id": text, "text": text}})
    expect(page.locator("[data-part=note]")).to_have_text("")
    assert state(page, "toldHow") == text
    page.get_by_role("button", name="fit", exact=True).click()
    ((_, _, told),) = [one for one in sent(page) if one[1] == "how"]
    assert set(told.split("~")) ^ set(text.split("~")) <= {"fit", "network", ""}
    give(page, {**data(), "how": {"id": f"again {text}", "text": told}})
    assert state(page, "toldHow") == told


def test_what_an_address_asks_of_rows_and_is_not_there_is_passed_over_in_one_line_and_asks_nothing_of_the_server(page):
    give(page, {**data(), "how": {"id": 1, "text": "drop~37~fold~nowhere~stage.1~<b>"}})
    said = "The address asks for rows by “37”, “nowhere”, “<b>”, which this map does not have; that is passed over."
    expect(page.locator("[data-part=note]")).to_have_text(said)
    assert (state(page, "how.sort"), state(page, "how.column")) == ("drop", 1)
    give(page, {**data(), "how": {"id": 1, "text": "drop~37~fold~nowhere~stage.1~<b>"}})
    assert sent(page) == []
    page.get_by_role("button", name="fit", exact=True).click()
    expect(page.locator("[data-part=note]")).to_have_text("")
    assert sent(page) == [["state", "how", "drop~90~fit~fold~stage.1"]]


@pytest.mark.slow
def test_a_copied_link_shows_the_same_order_in_a_new_browser(tmp_path, open_page):
    with served("--workspace", made(tmp_path, "little")) as address:
        page = open_page(f"{address}/map?model=synthetic")
        page.get_by_label("Sort rows by").first.select_option("drop")
        page.wait_for_url("**rows=drop*")
        page.get_by_role("button", name="fit", exact=True).first.click()
        page.wait_for_url("**fit*")
        again = open_page(page.url)
        expect(again.get_by_label("Sort rows by").first).to_have_value("drop")
        expect(again.get_by_role("button", name="fit", exact=True).first).to_have_attribute("aria-pressed", "true")
        shown = "root => root.secateur.shown.map(one => one.row).join()"
        orders = [one.locator(".map").first.evaluate(shown) for one in (page, again)]
        assert orders[0] == orders[1]
        again.get_by_test_id("stTopNav").get_by_role("link", name="Tune").click()
        expect(again.get_by_label("Sort rows by").first).not_to_be_visible()
        again.get_by_test_id("stTopNav").get_by_role("link", name="Map").click()
        expect(again.get_by_label("Sort rows by").first).to_have_value("drop")
        again.wait_for_url("**rows=drop*fit*")


def test_a_folded_module_shows_its_worst_and_opens_again_without_the_server(page):
    assert state(page, "shown.length") == len(NAMES) + 5
    page.locator(".view").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert state(page, "shown.length") == 3
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert state(page, "shown.length") == len(NAMES) + 5
    page.get_by_role("button", name="fold all").click()
    page.locator(".view").focus()
    expect(page.locator(".said")).to_contain_text("stage: 12 rows, folded")
    assert {what for _, what, _ in sent(page)} == {"how"}  # nothing is chosen


def test_rows_are_sorted_by_what_is_asked(page):
    page.get_by_label("Sort rows by").select_option("drop")
    page.get_by_label("Column to sort by").select_option("1")
    order = [
        NAMES[row] for row in page.evaluate("window.host.querySelector('.map').secateur.shown.map(one => one.row)")
    ]
    assert order == list(reversed(NAMES))
    page.get_by_label("Sort rows by").select_option("size")
    assert state(page, "shown[0].row") in range(1, 13)  # the longest names have most weights here
    assert page.get_by_label("Sort rows by").locator("option").all_inner_texts() == [
        "network order", "drop", "limit", "size"
    ]  # fmt: skip


def test_the_tick_recolours_at_once_and_tells_the_server_when_it_rests(page):
    before = colour_at(page, "stage.0.b", 1)
    tick = page.get_by_role("slider", name="Tolerance")
    tick.focus()
    for _ in range(4):
        page.keyboard.press("PageUp")
    page.wait_for_timeout(60)
    assert colour_at(page, "stage.0.b", 1) != before
    assert state(page, "tolerance") == pytest.approx(0.16)
    assert sent(page) == []
    page.wait_for_timeout(700)
    assert sent(page) == [["state", "tolerance", 0.16]]


def test_the_next_data_keep_what_was_sorted_and_take_the_tolerance(page):
    page.get_by_label("Sort rows by").select_option("drop")
    give(page, data(tolerance=0.5))
    assert (state(page, "tolerance"), state(page, "how.sort")) == (0.5, "drop")


def test_an_improvement_is_blue_and_a_drop_is_not(page):
    red, _, blue = colour_at(page, "stem", 0)
    assert blue > red
    red, _, blue = colour_at(page, "fc", 1)
    assert red > blue


def test_all_rows_fit_on_the_screen_and_are_still_reached(page):
    cells = tuple(cell(f"m.{i // 10}.{i % 10}", s / 21, 0.0001 * i) for i in range(300) for s in range(1, 21))
    grid = sparsity_grid(cells)
    report = SensitivityReport("r", "m", accuracy().scale, None, cells)
    give(page, map_data(map_text(grid, report), grid, 0.01, LIGHT, "Many"))
    assert state(page, "place.total") > 6000
    page.get_by_role("button", name="fit", exact=True).click()
    assert state(page, "place.total") <= state(page, "place.height") + 1
    page.locator(".view").focus()
    for _ in range(40):
        page.keyboard.press("PageDown")
    expect(page.locator(".said")).to_contain_text("m.29.9")


@pytest.mark.parametrize("width", [900, 600])
def test_labels_of_columns_do_not_touch(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    cells = tuple(cell("layer", s / 1000, 0.001) for s in range(50, 1000, 50))
    grid = sparsity_grid(cells)
    report = SensitivityReport("r", "m", accuracy().scale, None, cells)
    page.evaluate(
        """() => { const pen = window.host.querySelector('.map').secateur.pen, drawn = window.drawn = []
            const fill = pen.fillText.bind(pen), cover = pen.fillRect.bind(pen)
            // each time the axis is painted anew, as when the window has settled, only what is on it then counts
            pen.fillRect = (x, y, ...size) => { if (x === 0 && y === 0) drawn.length = 0; cover(x, y, ...size) }
            pen.fillText = (text, x, y) => { drawn.push([text, x, pen.measureText(text).width]); fill(text, x, y) } }"""
    )
    give(page, map_data(map_text(grid, report), grid, 0.01, LIGHT, "Narrow"))
    labels = [one for one in page.evaluate("window.drawn") if one[0].endswith(" %")]
    assert len({text for text, _, _ in labels}) >= 5
    ends = sorted((x - wide / 2, x + wide / 2) for _, x, wide in labels)
    assert all(end < start for (_, end), (start, _) in pairwise(ends))
    page.set_viewport_size({"width": 1000, "height": 900})


def test_a_row_under_the_pointer_is_told_to_the_network_and_what_that_tells_lights_up(chromium):
    page = chromium.new_page(viewport={"width": 1000, "height": 900})  # where no pointer was before
    open_map(page, data())
    page.evaluate(
        "window.told = []; window.addEventListener('secateur-target', event => window.told.push(event.detail))"
    )
    view = page.locator("[data-part=view]").bounding_box()
    top = state(page, "place.tops")[0]
    page.mouse.move(view["x"] + 30, view["y"] + top + 5)
    assert page.evaluate("told.at(-1)") == {"names": ["stem"], "target": "stem", "source": "map"}
    page.mouse.move(2, 2, steps=4)
    page.wait_for_function("told.at(-1).names.length === 0", timeout=5000)
    tell = "names => window.dispatchEvent(new CustomEvent('secateur-target', { detail: { names, source: 'graph' } }))"
    page.evaluate(tell, ["fc", "weight fc"])
    assert state(page, "lit.has('fc')")
    page.evaluate(tell, [])
    assert state(page, "lit.size") == 0
    page.close()


def saved(page, kind):
    """Name and bytes of what a button saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save as {kind}").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def many(n):
    cells = tuple(cell(f"stage.{i // 10}.layer{i % 10}", s / 6, 0.0004 * i) for i in range(n) for s in range(1, 6))
    grid = sparsity_grid(cells)
    text = map_text(grid, SensitivityReport("r", "m", accuracy().scale, None, cells), "layer × sparsity")
    return {**map_data(text, grid, 0.01, LIGHT, "Many"), "file": "a-model_map"}


def test_all_rows_are_saved_as_a_drawing_in_their_order_with_title_bar_and_key(page):
    give(page, {**data(chosen=Cut("fc", "weight", 0.9, "magnitude")), "file": "a-model_map"})
    page.get_by_label("Sort rows by").select_option("drop")
    page.get_by_label("Column to sort by").select_option("1")
    name, drawn = saved(page, "SVG")
    assert name == "a-model_map.svg"
    root = ElementTree.fromstring(drawn)
    told = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in told if text in NAMES] == list(reversed(NAMES))
    assert {"layer × sparsity", "14 rows, drop at 90 %", "tolerance 1.00 points", "50 %", "90 %", "·"} <= set(told)
    assert any(text.startswith("no change that the data can tell") for text in told)
    assert not [node.tag for node in root.iter() if node.tag.endswith(("script", "foreignObject", "image"))]
    page.get_by_label("Sort rows by").select_option("network")
    page.get_by_role("button", name="fold all").click()
    told = [node.text for node in ElementTree.fromstring(saved(page, "SVG")[1]).iter() if node.text]
    assert "\u25b8 stage (12)" in told
    assert not {"stage.0.a", "a"} & set(told)


def test_a_picture_holds_rows_that_are_scrolled_out_of_sight_twice_as_sharp_and_keeps_names_whole(page):
    page.set_viewport_size({"width": 600, "height": 700})
    give(page, many(120))
    page.get_by_role("button", name="by module").click()
    name, drawn = saved(page, "PNG")
    page.set_viewport_size({"width": 1000, "height": 900})
    assert name == "a-model_map.png"
    with Image.open(io.BytesIO(drawn)) as picture:
        pixels = picture.convert("RGB")
    assert pixels.height > 2 * 22 * 120
    assert pixels.getpixel((2, 2)) == (0xFB, 0xFC, 0xFB)  # the page's background, nothing that lets through
    last = pixels.crop((0, pixels.height - 80, pixels.width, pixels.height))
    assert len(last.getcolors(100_000)) > 10
    middle = pixels.crop((pixels.width // 2, 200, pixels.width, pixels.height - 40))
    assert len({colour for n, colour in middle.getcolors(100_000) if n > 2000}) >= 4


def test_a_picture_of_very_many_rows_is_less_sharp_and_whole(page):
    give(page, many(600))
    page.get_by_role("button", name="by module").click()
    with Image.open(io.BytesIO(saved(page, "PNG")[1])) as picture:
        assert picture.height == 16000
        last = picture.convert("RGB").crop((0, 16000 - 60, picture.width, 16000))
    assert len(last.getcolors(100_000)) > 10


@pytest.mark.parametrize("fit", [False, True])
@pytest.mark.parametrize("sharp", [1, 1.25])
def test_under_a_moving_pointer_the_map_is_what_it_is_when_all_of_it_is_drawn(chromium, fit, sharp):
    page = chromium.new_page(viewport={"width": 900, "height": 900}, device_scale_factor=sharp)
    open_map(page, {**many(240), "chosen": [[3, 2], [40, 1]], "corners": [["planned", "◥", "in the plan", [[4, 1]]]]})
    if fit:
        page.get_by_role("button", name="fit", exact=True).click()
    view = page.locator(".view").bounding_box()
    for x, y in ((200, 60), (700, 61), (300, 90), (20, 140), (500, 400), (700, 120), (450, 110)):
        page.mouse.move(view["x"] + x, view["y"] + y, steps=3)
        page.wait_for_timeout(40)
    is_drawn, most = page.evaluate(
        """async () => {
            const map = window.host.querySelector('.map').secateur
            const look = () => map.pen.getImageData(0, 0, map.parts.sheet.width, map.parts.sheet.height).data
            const before = look()
            window.dispatchEvent(new CustomEvent('secateur-target', { detail: { names: [], source: 'graph' } }))
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
            const after = look()
            const over = (data, i) => data[i] * data[i - i % 4 + 3] / 255
            let most = 0
            before.forEach((_, i) => { most = Math.max(most, Math.abs(over(before, i) - over(after, i))) })
            return [before.some(Boolean), most] }"""
    )
    assert is_drawn
    assert most <= 12  # of 255: what lets through is rounded twice, and edges are smoothed otherwise within a clip
    assert state(page, "pointed.item") >= 0
    page.close()
