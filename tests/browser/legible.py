"""What of a page in a browser cannot be read: text that is cut, that lies over other text, or too faint."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from playwright.sync_api import Page

from tests.browser.sizes import SCREENS, WIDTHS

HEIGHT = 1000  # px of a window

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size
# Every box that shows text of its own is looked at where it is painted. What scrolls may hold more than it shows; what
# is drawn on a canvas (tables) has no boxes, but may not scroll sideways; what cannot be pressed may be faint (WCAG
# leaves it out).
FIND = r"""
([least]) => {
  const found = [], boxes = []
  const roots = [document.querySelector('[data-testid=stApp]')]
  for (let i = 0; i < roots.length; i += 1)
    for (const node of roots[i].querySelectorAll('*')) if (node.shadowRoot) roots.push(node.shadowRoot)
  const up = node => node.assignedSlot || node.parentElement || (node.getRootNode().host ?? null)
  const all = function* (node) { for (let at = node; at; at = up(at)) yield at }
  const ink = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgba = colour => {
    ink.clearRect(0, 0, 1, 1); ink.fillStyle = colour; ink.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = ink.getImageData(0, 0, 1, 1).data
    return [r, g, b, a / 255]
  }
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1)
  const light = c => { const [r, g, b] = c.map(v => { v /= 255
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ground = (node, drawn) => {
    const layers = []
    if (drawn) {  // in a drawing text lies on the boxes of its own group
      const at = drawn.getBoundingClientRect(), [x, y] = [(at.left + at.right) / 2, (at.top + at.bottom) / 2]
      for (const box of [...node.parentElement.children].reverse()) {
        const edge = box.tagName === 'rect' ? box.getBoundingClientRect() : null
        if (!edge || x < edge.left || x > edge.right || y < edge.top || y > edge.bottom) continue
        const back = rgba(getComputedStyle(box).fill)
        back[3] *= Number(getComputedStyle(box).fillOpacity) * Number(getComputedStyle(box).opacity)
        if (back[3] > 0) layers.push(back)
        if (back[3] > 0.99) break
      }
    }
    for (const at of all(node)) {
      const back = rgba(getComputedStyle(at).backgroundColor)
      if (back[3] > 0) layers.push(back)
      if (back[3] > 0.99) break
    }
    const page = rgba(getComputedStyle(document.body).backgroundColor)
    return layers.reverse().reduce((below, top) => over(top, below), page)
  }
  const FIELD = /^st(NumberInput|TextInput|TextArea|Selectbox|MultiSelect|Slider|Checkbox|Radio|ButtonGroup)$/
  const shown = chain => {  // of a box what is not scrolled out of sight
    const edges = chain.filter(at => getComputedStyle(at).overflowY !== 'visible').map(at => at.getBoundingClientRect())
    return box => edges.reduce((left, edge) => ({
      left: Math.max(left.left, edge.left), right: Math.min(left.right, edge.right),
      top: Math.max(left.top, edge.top), bottom: Math.min(left.bottom, edge.bottom), height: left.height,
    }), { left: box.left, right: box.right, top: box.top, bottom: box.bottom, height: box.height })
  }
  const words = text => text.trim().replace(/\s+/g, ' ').slice(0, 60)
  const faint = (node, chain, colour, text, drawn) => {
    const faded = chain.filter(at => at.dataset?.stale === undefined)  // those pale for a moment when drawn anew
      .reduce((share, at) => share * Number(getComputedStyle(at).opacity || 1), 1)
    const dead = chain.some(at => at.disabled || at.getAttribute?.('aria-disabled') === 'true' ||
      at.querySelector?.(':scope > input:disabled, :scope > button:disabled') ||
      (FIELD.test(at.dataset?.testid ?? '') && at.querySelector('input:disabled, button:disabled')))
    const ink = rgba(colour), back = ground(node, drawn)
    if (dead || ink[3] === 0) return
    ink[3] *= faded
    const [a, b] = [light(over(ink, back)), light(back)]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < least - 0.005) found.push(['faint', `${ratio.toFixed(2)} ${words(text)}`])
  }
  for (const root of roots) {
    for (const field of root.querySelectorAll('input, select, textarea')) {
      if (['range', 'checkbox', 'radio'].includes(field.type)) continue
      if (!field.checkVisibility({ visibilityProperty: true })) continue
      if (field.getBoundingClientRect().width < 12) continue  // that of a list of tags is as wide as what is typed
      const text = field.value || field.placeholder, chain = [...all(field)]
      if (!text) continue
      faint(field, chain, getComputedStyle(field, field.value ? null : '::placeholder').color, text)
      // what does not fit is told in full elsewhere
      const fits = field.tagName !== 'INPUT' || field.scrollWidth <= field.clientWidth + 1
      if (!fits && !document.body.innerText.includes(text)) found.push(['cut', words(text)])
    }
    for (const table of root.querySelectorAll('.dvn-scroller'))
      if (table.scrollWidth > table.clientWidth + 1)
        found.push(['sideways', `a table of ${table.scrollWidth} px in ${table.clientWidth}`])
    for (const key of root.querySelectorAll('.secateur-plot .legend .bg')) {
      const a = key.getBoundingClientRect(), drag = key.closest('.secateur-plot').querySelector('.nsewdrag')
      const b = drag?.getBoundingClientRect() ?? a
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
        found.push(['overlap', `the key of a chart lies over it: ${words(key.closest('.legend').textContent)}`])
    }
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement
      if (!text.data.trim() || !node || ['STYLE', 'SCRIPT', 'TITLE', 'DESC'].includes(node.tagName)) continue
      if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue
      const chain = [...all(node)], style = getComputedStyle(node)
      const range = document.createRange(); range.selectNodeContents(text)
      const rects = [...range.getClientRects()].filter(r => r.width > 1 && r.height > 1)
      if (!rects.length) continue
      if (chain.some(at => at.closest?.('[data-testid=stSkeleton], [data-testid=stTooltipContent]'))) continue
      const hidden = chain.some(at => { const s = getComputedStyle(at)
        return s.clip === 'rect(0px, 0px, 0px, 0px)' || s.clipPath === 'inset(50%)' })
      const box = node.getBoundingClientRect()
      if (hidden || (box.width <= 1 && box.height <= 1) || style.fontFamily.includes('Material Symbols')) continue
      // cut: by a box that hides what does not fit, or by the edge of the page
      let scrolls = false, cut = null
      for (const at of chain) {
        const s = getComputedStyle(at), x = s.overflowX
        if (at.getBoundingClientRect().width < 2) continue
        if (['auto', 'scroll'].includes(x) && at.dataset?.testid !== 'stMain') { scrolls = true; break }
        if (['hidden', 'clip'].includes(x)) {
          const edge = at.getBoundingClientRect()
          if (rects.some(r => r.right > edge.right + 1.5 || r.left < edge.left - 1.5)) {
            if (!chain.some(one => one.title && one.title.includes(text.data.trim()))) cut = at  // else told in full
            break
          }
        }
      }
      if (cut) found.push(['cut', words(text.data)])
      const told = text.data.trim().split(/\s+/), lines = new Set(rects.map(r => Math.round(r.top))).size
      if (lines > told.length && told.every(word => word.length < 13)) found.push(['broken', words(text.data)])
      if (!cut && !scrolls && rects.some(r => r.right > innerWidth + 1 || r.left < -1))
        found.push(['beyond', words(text.data)])
      const svg = node.closest?.('svg')
      faint(node, chain, svg ? style.fill : style.color, text.data, svg ? range : null)
      const turned = svg && [...all(node)].some(at => /rotate\((?!0)/.test(at.getAttribute?.('transform') ?? ''))
      const lies = chain.find(at => ['fixed', 'sticky'].includes(getComputedStyle(at).position)) ?? null
      const isMark = !/[\p{L}\p{N}]/u.test(text.data)  // marks of one cell share its square
      if (!turned && !cut && !isMark) for (const r of rects.map(shown(chain)))
        if (r.right > r.left && r.bottom > r.top) boxes.push([r, words(text.data), lies, text])
    }
  }
  boxes.sort((a, b) => a[0].top - b[0].top)
  for (let i = 0; i < boxes.length; i += 1)
    for (let j = i + 1; j < boxes.length && boxes[j][0].top < boxes[i][0].bottom; j += 1) {
      const [a, one, la, ta] = boxes[i], [b, other, lb, tb] = boxes[j]
      if (ta === tb || la !== lb) continue
      const w = Math.min(a.right, b.right) - Math.max(a.left, b.left)
      const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
      if (w > 2 && h > 0.35 * Math.min(a.height, b.height)) found.push(['overlap', `${one} | ${other}`])
    }
  return found
}
"""


# Nothing moved for this long: what fits itself to its box (charts, tables, the map) does so within two frames of a
# resize, a loaded machine draws a frame in 50 ms.
STILL = r"""
still => new Promise(done => {
  const look = () => {
    const runs = '[data-testid=stApp]:not([data-test-script-state=notRunning])'
    const waits = '[data-testid=stMainBlockContainer][data-room]'  // for tables of another width
    if (document.querySelector(`${runs}, ${waits}, [data-testid=stSkeleton], [data-stale=true]`)) return null
    const roots = [document], sizes = []
    for (let i = 0; i < roots.length; i += 1) for (const node of roots[i].querySelectorAll('*')) {
      if (node.shadowRoot) roots.push(node.shadowRoot)
      if (node.matches('.js-plotly-plot, .secateur-plot') && !node.querySelector('.main-svg')) return null
      if (node.matches('.main-svg, canvas, [data-testid=stMainBlockContainer], [data-testid=stVerticalBlock]')) {
        const box = node.getBoundingClientRect()
        sizes.push(box.left, box.top, box.width, box.height)
      }
    }
    return sizes.map(Math.round).join()
  }
  let was = null, since = performance.now()
  const tick = () => {
    const is = look(), now = performance.now()
    if (is === null || is !== was) { was = is; since = now } else if (now - since >= still) return done(true)
    setTimeout(tick, 40)
  }
  tick()
})
"""


def settled(page: Page) -> None:
    """Wait until the screen is drawn and nothing on it changes its place or size any more."""
    page.locator("[data-testid=stMainBlockContainer]").wait_for()
    page.evaluate(STILL, 160)


def walk(
    page: Page, address: str, screens: Iterable[str] = SCREENS, widths: Sequence[int] = WIDTHS, network: bool = False
) -> Iterator[tuple[str, int]]:
    """Screen and width in px: every screen of a workspace, settled; loaded once, the widths are that page narrowed.

    With `network`, that is unfolded above the maps.
    """
    for screen in screens:
        page.set_viewport_size({"width": max(widths), "height": HEIGHT})
        page.goto(f"{address}/{SCREENS[screen]}?model=synthetic")
        toggle = page.get_by_text("Network", exact=True)
        if network and screen == "map":
            settled(page)
            if toggle.is_visible():  # where there is a map
                toggle.click()
                page.locator(".network .thing").first.wait_for()
        for width in widths:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            settled(page)
            yield screen, width


def problems(page: Page) -> list[tuple[str, str]]:
    """What cannot be read: `("cut" | "beyond" | "overlap" | "faint" | "sideways", which text)`, each once."""
    found: list[list[Any]] = page.evaluate(FIND, [LEAST_CONTRAST])
    return sorted({(kind, text) for kind, text in found})
