// Pointer and keys. Nothing here waits for the server; what was chosen, cut or tolerated is told to it.

function listen(map) {
  const { parts } = map
  const { view, tick } = parts
  const placed = event => {
    const box = view.getBoundingClientRect()
    return pick(map, event.clientX - box.left - view.clientLeft, event.clientY - box.top - view.clientTop)
  }
  view.addEventListener('scroll', () => paintSoon(map))
  view.addEventListener('pointermove', event => point(map, placed(event)))
  view.addEventListener('pointerleave', () => point(map, null))
  view.addEventListener('click', event => {
    const found = placed(event)
    if (!found) return
    map.cursor = found
    act(map, found, 'choose')
  })
  view.addEventListener('focus', () => {
    map.hasFocus = true
    map.cursor = map.cursor || firstCursor(map)
    say(map, map.cursor)
    paintSoon(map)
  })
  view.addEventListener('blur', () => { map.hasFocus = false; say(map, null); paintSoon(map) })
  view.addEventListener('keydown', event => press(map, event))

  parts.sort.addEventListener('change', () => change(map, { sort: parts.sort.value }))
  parts.at.addEventListener('change', () => change(map, { column: Number(parts.at.value) }))
  parts.turn.addEventListener('click', () => change(map, { turned: !map.how.turned }))
  parts.grouped.addEventListener('click', () => change(map, { grouped: !map.how.grouped }))
  parts.fit.addEventListener('click', () => change(map, { fit: !map.how.fit }))
  parts.png.addEventListener('click', () => savePng(map))
  parts.svg.addEventListener('click', () => saveSvg(map))
  parts.fold.addEventListener('click', () => {
    const paths = map.known.groups.map(group => group.path)
    change(map, { folded: new Set(paths.every(path => map.how.folded.has(path)) ? [] : paths) })
  })

  let isHeld = false
  const along = event => toleranceAt(map, event.clientX - parts.gradient.getBoundingClientRect().left)
  tick.addEventListener('pointerdown', event => {
    if (!map.data.canTolerate) return
    isHeld = true
    map.barTolerance = map.tolerance
    tick.setPointerCapture(event.pointerId)
    event.preventDefault()
    tick.focus()
  })
  tick.addEventListener('pointermove', event => { if (isHeld) setTolerance(map, along(event)) })
  tick.addEventListener('pointerup', () => { if (isHeld) { isHeld = false; sendTolerance(map) } })
  tick.addEventListener('keydown', event => {
    const step = { ArrowRight: 0.25, ArrowUp: 0.25, ArrowLeft: -0.25, ArrowDown: -0.25, PageUp: 1, PageDown: -1 }[event.key]
    if (step === undefined || !map.data.canTolerate) return
    event.preventDefault()
    setTolerance(map, Number((map.tolerance * 2 ** step).toPrecision(3)))
    clearTimeout(map.later)
    map.later = setTimeout(() => sendTolerance(map), 500)   // once the hand rests
  })
}

function change(map, how) {
  Object.assign(map.how, how)
  map.parts.note.textContent = ''
  arrange(map)
  tellHow(map)
}

function point(map, found) {
  if (JSON.stringify(found) === JSON.stringify(map.pointed)) return
  const items = [map.pointed, found].filter(Boolean).map(one => one.item)
  map.pointed = found
  tellTarget(map, found)
  map.parts.view.style.cursor = found && (found.column === null ? map.shown[found.item].row === undefined : true) ? 'pointer' : ''
  say(map, found || (map.hasFocus ? map.cursor : null))
  paintSoon(map, items)
}

function firstCursor(map) {
  const [row, column] = map.chosen[0] || []
  const item = map.itemOf.get(row)
  return item === undefined ? { item: 0, column: map.known.columns.findIndex(Boolean) } : { item, column }
}

function press(map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !map.shown.length) return
  const cursor = map.cursor || firstCursor(map)
  const last = map.shown.length - 1
  const across = map.known.columns.map((label, i) => [label, i]).filter(([label]) => label).map(([, i]) => i)
  const at = Math.max(0, across.indexOf(cursor.column))
  const page = Math.max(1, Math.floor(map.place.height / 22) - 2)
  const item = map.shown[cursor.item]
  const moves = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-page, 0], PageDown: [page, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -across.length], End: [0, across.length],
  }
  if (event.key in moves) {
    const [down, right] = moves[event.key]
    const open = map.shown[cursor.item].open
    if (right && item.group !== undefined && open !== undefined && open === (right < 0)) toggle(map, item.group)
    else {
      let next = Math.min(last, Math.max(0, cursor.item + down))
      // when all rows are on the screen, headings of open modules have no height
      while (map.place.heights[next] === 0 && next + Math.sign(down) >= 0 && next + Math.sign(down) <= last) next += Math.sign(down)
      map.cursor = { item: next, column: across[Math.min(across.length - 1, Math.max(0, at + right))] }
    }
    scrollTo(map, map.cursor ? map.cursor.item : 0)
    say(map, map.cursor)
    paintSoon(map)
  } else if (event.key === 'Enter' || event.key === ' ') act(map, cursor, 'choose')
  else if (event.key === 'c' || event.key === 'C') act(map, cursor, 'cut')
  else return
  event.preventDefault()
}

// A cell is chosen, or cut; a module opens or folds.
function act(map, found, what) {
  const item = map.shown[found.item]
  if (item.row === undefined) { if (what === 'choose') toggle(map, item.group); return }
  const cell = found.column === null ? null : map.known.at(item.row, found.column)
  if (!cell || (what === 'cut' && (!map.data.canCut || cell.mark === 'failed'))) return
  map.chosen = [[item.row, found.column]]
  map.send('hit', { row: item.row, column: found.column, act: what })
  paintSoon(map)
}

function toggle(map, group) {
  const { path } = map.known.groups[group]
  const folded = new Set(map.how.folded)
  if (!folded.delete(path)) folded.add(path)
  change(map, { folded })
}

// What can be done is said once on a page, below its first map.
function hint(map) {
  const host = map.parts.said.getRootNode().host ?? map.parts.said
  host.dataset.secateurMap = ''
  if (document.querySelector('[data-secateur-map]') !== host) return ['']
  return [`Point at a cell, or press the arrow keys: Enter chooses${map.data.canCut ? ', C cuts there' : ''}.`]
}

// The line below the map: what is under the pointer or the cursor, else the chosen cell, else what can be done.
function say(map, found) {
  const { parts, known, shown } = map
  const spoken = found || (map.chosen.length ? { item: map.itemOf.get(map.chosen[0][0]), column: map.chosen[0][1] } : null)
  const lines = (spoken && spoken.item !== undefined && shown[spoken.item] ? linesOf(map, shown[spoken.item], spoken.column) : null)
    || hint(map)
  const [first, ...more] = lines
  const head = document.createElement(spoken ? 'b' : 'span')
  head.textContent = first
  parts.said.replaceChildren(head, ' ', ...more.map(text => {
    const line = document.createElement('span')
    line.textContent = text
    return line
  }))
  if (!found) return
  parts.spoken.textContent = lines.join('. ')
  parts.spokenRow.setAttribute('aria-rowindex', String(found.item + 1))
  parts.spoken.setAttribute('aria-colindex', String((found.column ?? 0) + 1))
}

function wordsOf(map, cell) {
  map.words = map.words || JSON.parse(map.data.words)
  return map.words[cell.i]
}

function linesOf(map, item, column) {
  const { known } = map
  if (item.row === undefined) {
    const { path, rows } = known.groups[item.group]
    const worst = column === null ? null : worstOf(known, item.group, column)
    const told = item.open || !worst ? [] : [`the one that costs most at ${known.columns[column]}`, ...wordsOf(map, worst)]
    return [`${path}: ${rows.length} rows, ${item.open ? 'open' : 'folded'}`, ...told]
  }
  const row = known.rows[item.row]
  if (column === null) return [row.name]
  const cell = known.at(item.row, column)
  return cell ? wordsOf(map, cell) : [`${row.name} at ${known.columns[column]}`, row.absent[known.kinds[column]] || 'no such cell']
}
