"""What of a page a keyboard or a screen reader cannot use: no name, out of order, no sign of the focus."""

from collections.abc import Mapping
from types import MappingProxyType

from playwright.sync_api import CDPSession, Page

# What is pressed, typed into or chosen from; a chart or map that is focused has to say what it is too
PRESSED = ("button", "link", "checkbox", "radio", "switch", "slider", "tab", "menuitem", "option", "treeitem")
FILLED = ("spinbutton", "textbox", "searchbox", "combobox", "listbox", "grid")
# Part of the HTML of what may go without a name, and why
NAMELESS: Mapping[str, str] = MappingProxyType(
    {'<table role="grid"': "Streamlit names not this copy of a table's canvas, but the box about both: see `BOXES`"}
)

# What is drawn on a canvas or as a picture, of which the box bears the name
BOXES = "[data-testid=stDataFrameResizable], [data-testid=stPlotlyChart], .pl"

# Focus goes through a page as it is read: to what lies further on in the line, or below, or atop the next column.
ORDER = r"""
() => {
  const found = [], stops = []
  const visit = root => {
    for (const node of root.children ?? []) {
      if (node.tabIndex >= 0 && !node.disabled && node.checkVisibility({ visibilityProperty: true })) {
        const box = node.getBoundingClientRect()
        if (box.width > 1 && box.height > 1) stops.push([node, box])
      }
      if (node.tabIndex > 0) found.push(['tabindex', node.outerHTML.slice(0, 120)])
      if (node.shadowRoot) visit(node.shadowRoot)
      visit(node)
    }
  }
  visit(document.querySelector('[data-testid=stApp]'))
  const up = node => node.parentElement ?? node.getRootNode().host ?? null
  const scroller = node => {
    for (let at = up(node); at && at.dataset?.testid !== 'stMain'; at = up(at))
      if (['auto', 'scroll'].includes(getComputedStyle(at).overflowY)) return at
    return null
  }
  const name = node => (node.getAttribute('aria-label') || node.innerText || node.outerHTML).trim().slice(0, 40)
  for (let i = 1; i < stops.length; i += 1) {
    const [one, other] = [stops[i - 1][0], stops[i][0]]
    if (one.contains(other) || other.contains(one)) continue
    const [from, to] = [scroller(one), scroller(other)]  // what is scrolled out of sight lies where its list does
    const a = from && from !== to ? from.getBoundingClientRect() : stops[i - 1][1]
    const b = to && from !== to ? to.getBoundingClientRect() : stops[i][1]
    const isAbove = b.bottom <= a.top + 1 && b.left < a.right - 1
    const shared = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    const isBefore = b.right <= a.left + 1 && shared > 0.5 * Math.min(a.height, b.height) && b.top < a.top + 8
    if (isAbove || isBefore) found.push(['order', `${name(one)} → ${name(other)}`])
  }
  return found
}
"""
# One of each kind is focused, and something of it or of what frames it has to look otherwise than before.
FOCUS = r"""
async () => {
  const found = [], kinds = new Set(), stops = []
  const visit = root => {
    for (const node of root.children ?? []) {
      if (node.tabIndex >= 0 && !node.disabled && node.checkVisibility({ visibilityProperty: true }) &&
          node.tagName !== 'CANVAS') {  // a table draws the frame of its cell on itself
        const kind = `${node.tagName}.${node.getAttribute('class') ?? ''}.${node.type ?? ''}.${node.dataset.part ?? ''}`
        if (!kinds.has(kind)) { kinds.add(kind); stops.push(node) }
      }
      if (node.shadowRoot) visit(node.shadowRoot)
      visit(node)
    }
  }
  visit(document.querySelector('[data-testid=stApp]'))
  const PROPERTIES = ['outline', 'boxShadow', 'borderColor', 'backgroundColor', 'color', 'stroke',
    'strokeWidth', 'textDecoration']
  const still = () => document.getAnimations().forEach(one => { try { one.finish() } catch { /* has no end */ } })
  const drawn = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))  // React answers later
  const look = node => {
    still()
    const around = [node, ...node.querySelectorAll('*')]
    for (let at = node, i = 0; i < 4 && (at = at.parentElement); i += 1) around.push(at)
    if (node.tagName === 'INPUT') around.push(...(node.parentElement?.querySelectorAll('*') ?? []))
    return around.flatMap(at => [null, '::before', '::after'].map(part => {
      const style = getComputedStyle(at, part)
      return PROPERTIES.map(name => style[name]).join('|')
    })).join('\n')
  }
  for (const node of stops) {
    document.activeElement?.blur?.()
    await drawn()
    const before = look(node)
    node.focus({ preventScroll: true, focusVisible: true })
    await drawn()
    if (look(node) === before) found.push(['no sign of focus', node.outerHTML.slice(0, 160)])
  }
  document.activeElement?.blur?.()
  return found
}
"""


def nameless(page: Page, devtools: CDPSession) -> list[tuple[str, str]]:
    """What a screen reader would call only by its kind: `("no name", role and HTML)`, each once."""
    found = set()
    for node in devtools.send("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in (*PRESSED, *FILLED) or str(node.get("name", {}).get("value", "")).strip():
            continue
        about = {"backendNodeId": node["backendDOMNodeId"]}
        html = devtools.send("DOM.getOuterHTML", about)["outerHTML"][:200]
        if not any(part in html for part in NAMELESS):
            found.add(("no name", f"{role} {html}"))
    for box in page.locator(BOXES).all():
        if not (box.get_attribute("aria-label") or "").strip():
            found.add(("no name", box.evaluate("box => box.cloneNode(false).outerHTML")))
    return sorted(found)


def out_of_order(page: Page) -> list[tuple[str, str]]:
    """Where the focus leaps back: `("order" | "tabindex", from what to what)`."""
    return sorted({(kind, what) for kind, what in page.evaluate(ORDER)})


def unseen_focus(page: Page) -> list[tuple[str, str]]:
    """What looks the same with the focus as without it: `("no sign of focus", HTML)`, one of each kind."""
    page.keyboard.press("Tab")  # from here on the focus is one of the keyboard, which alone is drawn
    return sorted({(kind, what) for kind, what in page.evaluate(FOCUS)})
