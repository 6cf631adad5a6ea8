"""The network in a real browser: what is folded is what Python folds, and it lights up with the map."""

import base64

import pytest

from core.graph.drawn import drawing_of, seen
from core.graph.network import Network, Operation, Place
from core.graph.shown import shown
from dashboard.frame.theme import LIGHT
from dashboard.graph.component import CSS, DAGRE, HTML, JS
from dashboard.graph.data import graph_data
from dashboard.serving.server import SCRIPTS

pytestmark = pytest.mark.browser


def deep(n_stages=3, n_blocks=4):
    """Residual blocks in stages: two layers and an addition each."""
    operations, places, modules, before = [Operation("x", "input", "")], [], {"": "Net"}, "x"
    for stage in range(n_stages):
        modules[f"stage{stage}"] = "Sequential"
        for block in range(n_blocks):
            path = f"stage{stage}.{block}"
            modules[path] = "Block"
            for layer, reads in (("a", before), ("b", f"{path}.a")):
                modules[f"{path}.{layer}"] = "Linear"
                operations.append(Operation(f"{path}.{layer}", "aten.linear.default", f"{path}.{layer}", (reads,)))
                places.append(Place("weight", f"{path}.{layer}", f"{path}.{layer}"))
            operations.append(Operation(f"{path}.add", "aten.add.Tensor", path, (f"{path}.b", before)))
            before = f"{path}.add"
    operations.append(Operation("output", "output", "", (before,)))
    return Network(tuple(operations), tuple(places), modules, 2)


def data_of(network):
    drawing = drawing_of(network)
    return {**graph_data(drawing, shown(drawing, (), "weight"), LIGHT, "Network"), "script": "none"}


@pytest.fixture
def page(chromium):
    """A page with the component on it, and dagre where its script would be."""
    page = chromium.new_page()
    page.set_content(f"<style>{CSS}</style>{HTML}")
    page.add_script_tag(path=SCRIPTS / DAGRE)
    source = base64.b64encode((JS + "\nexport { seen }").encode()).decode()
    page.evaluate(
        "async source => { window.__secateurDagre = Promise.resolve(window.dagre); window.sent = []; window.heard = [];"
        " window.addEventListener('secateur-target', event => window.heard.push(event.detail));"
        " window.network = await import('data:text/javascript;base64,' + source) }",
        source,
    )
    yield page
    page.close()


def show(page, data):
    page.evaluate(
        "data => network.default({ data, parentElement: document.body, "
        "setTriggerValue: (name, value) => sent.push(value) })",
        data,
    )
    page.wait_for_selector(".thing")


@pytest.mark.parametrize("opened", [(), ("stage0",), ("stage0", "stage0.1", "stage2"), ("stage1.0",)])
def test_what_is_seen_is_what_python_sees(page, opened):
    network = deep()
    data = data_of(network)
    found = page.evaluate(
        "([data, open]) => [...network.seen(data.boxes, data.groups, new Set(open))]"
        ".map(([id, reads]) => [id, [...reads]])",
        [data, list(opened)],
    )
    assert [(name, tuple(reads)) for name, reads in found] == list(seen(drawing_of(network), opened).items())


def test_a_row_of_the_map_lights_its_box_or_the_block_that_holds_it_and_the_other_way_round(page):
    show(page, {**data_of(deep()), "open": ["stage0", "stage0.0"]})
    lit = "() => [...document.querySelectorAll('.lit')].map(node => node.dataset.id)"
    tell = "names => window.dispatchEvent(new CustomEvent('secateur-target', { detail: { names, source: 'map' } }))"
    page.evaluate(tell, ["stage0.0.b"])
    assert page.evaluate(lit) == ["stage0.0.b"]
    page.evaluate(tell, ["stage2.3.a"])
    assert page.evaluate(lit) == ["group:stage2"]
    page.evaluate(tell, [])
    assert page.evaluate(lit) == []
    page.locator('[data-id="stage0.0.a"]').hover()
    heard = page.evaluate("heard.filter(one => one.source === 'graph').at(-1)")
    assert heard["target"] == "stage0.0.a"
    assert "weight stage0.0.a" in heard["names"]


def test_keys_unfold_move_choose_cut_and_fold(page):
    show(page, {**data_of(deep()), "open": []})
    assert page.locator('.thing[tabindex="0"]').count() == 1
    page.locator('[data-id="group:stage0"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-id="group:stage0.0"]:focus')
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-id="stage0.0.a"]:focus')
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == [{"box": "stage0.0.b", "act": "cut"}, {"box": "stage0.0.b", "act": "choose"}]
    page.keyboard.press("Escape")
    page.wait_for_selector('[data-id="group:stage0.0"]:focus')


def test_three_hundred_layers_are_folded_and_can_all_be_unfolded(page):
    data = data_of(deep(10, 15))
    assert len([box for box in data["boxes"] if box["isLayer"] or box["names"]]) == 300
    show(page, data)
    assert page.locator(".thing").count() <= 12
    page.get_by_role("button", name="Unfold all").click()
    page.wait_for_function("document.querySelectorAll('.thing').length > 300")
