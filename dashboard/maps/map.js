// The map: holds what is known and how the person wants to see it, and draws it.

export default function (component) {
  const root = component.parentElement.querySelector('.map')
  const map = root.secateur || (root.secateur = makeMap(root))
  map.take(component)
  return () => {}
}

const FRESH = () => ({ sort: 'network', column: null, turned: false, grouped: true, fit: false, folded: new Set() })

function makeMap(root) {
  const parts = Object.fromEntries([...root.querySelectorAll('[data-part]')].map(part => [part.dataset.part, part]))
  const map = {
    root, parts, pen: parts.sheet.getContext('2d'), data: null, known: null, shown: [], labels: [], how: FRESH(),
    pointed: null, cursor: null, chosen: [], hasFocus: false, frame: 0, dirty: new Set(), tolerance: 1, barTolerance: null, itemOf: new Map(),
  }
  map.take = component => take(map, component)
  listen(map)
  hearTarget(map)
  new ResizeObserver(() => {
    if (!map.known || parts.view.clientWidth === (map.place || {}).width) return
    arrange(map)
  }).observe(parts.view)
  return map
}

function take(map, { data, setTriggerValue, setStateValue }) {
  const { parts } = map
  const before = map.data
  map.send = setTriggerValue
  map.sendState = setStateValue
  map.data = data
  readColours(map, getComputedStyle(map.root))
  if (!before || before.catalog !== data.catalog) {
    map.known = opened(JSON.parse(data.known))
    map.words = null                                   // read when somebody first wants to know
    map.glyphs = new Map(map.known.key.map(([mark, glyph]) => [mark, glyph]))
    parts.title.textContent = map.known.title
    parts.view.setAttribute('aria-label', data.label)
    map.cursor = map.pointed = null
  }
  map.ends = data.ends
  if (map.barTolerance === null) map.tolerance = data.tolerance
  map.chosen = data.chosen
  const isPassedOver = takeHow(map)
  fillChoices(map)
  if (isPassedOver) map.toldHow = howText(map.known, map.how)   // the address stays as it was opened
  fillKey(map)
  arrange(map)
  tellHow(map)
}

function readColours(map, style) {
  const css = name => style.getPropertyValue(`--st-${name}`).trim()
  const text = css('text-color') || '#222'
  const look = JSON.stringify([map.data.colours, text, css('background-color'), css('font')])
  if (map.look === look) return
  map.look = look
  map.colours = map.data.colours
  map.css = {
    text, background: css('background-color') || '#fff', font: css('font') || 'sans-serif', primary: css('primary-color') || '#2f7d5b',
    line: map.colours.muted, hover: map.colours.muted.replace(/[\d.]+\)$/, '0.14)'), muted: map.colours.mark,
  }
}

function opened(known) {
  const [n, width] = [known.rows.length, known.columns.length]
  const rows = known.rows.map(([name, group, size, seconds, absent]) => ({ name, group, size, seconds, absent }))
  const groups = known.groups.map(([path, depth, parent, own]) => ({ path, depth, parent, rows: own }))
  const of = known.cells
  const cells = of.row.map((row, i) => (
    { i, row, column: of.column[i], drop: of.drop[i], grey: of.grey[i], mark: of.mark[i], pale: of.pale[i] === 1 }))
  const places = new Array(n * width).fill(null)
  for (const cell of cells) places[cell.row * width + cell.column] = cell
  const noteOf = new Map(known.notes.map(([row, column, text]) => [row, [column, text]]))
  return { ...known, rows, groups, cells, noteOf, at: (row, column) => places[row * width + column] }
}

function fillChoices(map) {
  const { parts, known, data, how } = map
  const sorts = sortsOf(known, data.limits)
  if (!sorts.some(([name]) => name === how.sort)) how.sort = 'network'
  const there = known.columns.map((label, i) => [label, i]).filter(([label]) => label)
  if (!there.some(([, i]) => i === how.column)) how.column = there.length ? there[Math.floor(there.length / 2)][1] : 0
  const many = new Set(known.kinds.filter(Boolean)).size > 1
  parts.sort.replaceChildren(...sorts.map(([name, label]) => new Option(label, name)))
  parts.at.replaceChildren(...there.map(([label, i]) => new Option(many ? `${known.kinds[i]} ${label}` : label, i)))
}

// Everything that follows from how the person wants to see it.
function arrange(map) {
  const { parts, known, data, how } = map
  map.isGrouped = how.sort === 'network' && how.grouped && known.groups.length > 0
  map.shown = shownRows(known, data.limits, how)
  map.labels = map.shown.map(item => labelOf(map, item))
  map.itemOf = new Map(map.shown.map((item, k) => [item.row, k]).filter(([row]) => row !== undefined))
  if (map.cursor && map.cursor.item >= map.shown.length) map.cursor = null
  parts.sort.value = how.sort
  parts.at.value = String(how.column)
  parts.atLabel.hidden = how.sort !== 'drop' && how.sort !== 'limit'
  parts.turn.setAttribute('aria-pressed', String(how.turned))
  parts.grouped.setAttribute('aria-pressed', String(how.grouped))
  parts.fit.setAttribute('aria-pressed', String(how.fit))
  parts.grouped.hidden = !known.groups.length || how.sort !== 'network'
  parts.fold.hidden = !map.isGrouped
  parts.fold.textContent = known.groups.every(group => how.folded.has(group.path)) ? 'open all' : 'fold all'
  const n = map.shown.filter(item => item.row !== undefined).length
  parts.count.textContent = n === known.rows.length ? `${n} rows` : `${n} of ${known.rows.length} rows`
  parts.view.setAttribute('aria-rowcount', String(map.shown.length))
  parts.view.setAttribute('aria-colcount', String(known.columns.length))
  layOut(map)
  paintBar(map)
  say(map, map.hasFocus ? map.cursor : null)
  cancelAnimationFrame(map.frame)
  map.frame = 0
  map.dirty = new Set()
  paint(map)
}

function labelOf(map, item) {
  const { known } = map
  if (item.row === undefined) {
    const { path, parent } = known.groups[item.group]
    const label = parent === null ? path : path.slice(known.groups[parent].path.length + 1)
    return item.open ? label : `${label} (${known.groups[item.group].rows.length})`
  }
  const { name, group } = known.rows[item.row]
  return map.isGrouped && group !== null ? name.slice(known.groups[group].path.length + 1) : name
}

// In the next frame; `items`: those that look otherwise, all unless told.
function paintSoon(map, items) {
  if (!items) map.dirty = null
  else if (map.dirty) for (const item of items) map.dirty.add(item)
  if (!map.frame) map.frame = requestAnimationFrame(() => {
    const dirty = map.dirty
    map.frame = 0
    map.dirty = new Set()
    if (dirty) paintAgain(map, dirty)
    else paint(map)
  })
}

// ---- how it is looked at stands in the address, which Python writes

// What Python knows when the map is first drawn, and what an address asked for since; true if some of it cannot be.
function takeHow(map) {
  const { id, text } = map.data.how ?? { id: 0, text: '' }
  if (map.askedBy === id) return false
  map.askedBy = id
  map.toldHow = text
  const { how, unknown } = howNamed(map.known, sortsOf(map.known, map.data.limits), FRESH(), text)
  map.how = how
  const words = unknown.map(word => `“${word}”`).join(', ')
  map.parts.note.textContent = unknown.length ? `The address asks for rows by ${words}, which this map does not have; that is passed over.` : ''
  return unknown.length > 0
}

function tellHow(map) {
  const text = howText(map.known, map.how)
  if (text === map.toldHow) return
  map.toldHow = text
  map.sendState('how', text)
}
