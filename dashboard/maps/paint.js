// The sheet: what is in sight of rows and columns. Whatever `map.pen` is: a canvas on the screen, a canvas to be saved, or
// `svgPen`. All of it is drawn anew when anything moves; under a moving pointer only the rows that it leaves and enters.

const SMALL = 0.58                                    // of a cell that is known little: smaller at every size

function paint(map) {
  const { pen, place, parts } = map
  const scale = window.devicePixelRatio || 1
  const sheet = parts.sheet
  if (sheet.width !== Math.round(place.width * scale) || sheet.height !== Math.round(place.height * scale)) {
    sheet.width = Math.round(place.width * scale)
    sheet.height = Math.round(place.height * scale)
    sheet.style.width = `${place.width}px`
    sheet.style.height = `${place.height}px`
  }
  pen.setTransform(scale, 0, 0, scale, 0, 0)
  pen.clearRect(0, 0, place.width, place.height)
  map.font = ''                                         // of a canvas that was measured with, or is new
  map.paintedAt = parts.view.scrollTop
  paintSheet(map, map.paintedAt)
}

function paintSheet(map, scrolled) {
  const { place, shown } = map
  map.named = []                                       // open modules that stand beside thin rows
  let free = 0                                         // from where on these have room for the name of their module
  for (let k = Math.max(0, firstAt(place, scrolled + place.top) - 2); k < shown.length; k += 1) {
    const y = place.tops[k] - scrolled
    if (y > place.height) break
    if (place.heights[k]) paintItem(map, k, y, place.heights[k])
    else if (y >= free && y < place.height - 8) {
      map.named.push(k)
      free = paintModule(map, k, y)
    }
  }
  paintAxis(map)
  paintFrames(map, scrolled)
}

// These items anew, and what of their neighbours lies within two pixels of them.
function paintAgain(map, items) {
  const { pen, place, parts, shown } = map
  const scrolled = parts.view.scrollTop, scale = window.devicePixelRatio || 1
  if (scrolled !== map.paintedAt) { paint(map); return }
  const edge = (y, round) => round(Math.min(place.height, Math.max(place.top, y)) * scale)   // whole pixels: no seams
  for (const item of items) {
    if (item >= shown.length) continue
    const y = place.tops[item] - scrolled
    const [top, bottom] = [edge(y - 2, Math.floor), edge(y + place.heights[item] + 2, Math.ceil)]
    if (bottom <= top) continue
    pen.save()
    pen.setTransform(1, 0, 0, 1, 0, 0)
    pen.beginPath()
    pen.rect(0, top, parts.sheet.width, bottom - top)
    pen.clip()
    pen.clearRect(0, top, parts.sheet.width, bottom - top)
    pen.setTransform(scale, 0, 0, scale, 0, 0)
    map.font = ''
    for (let k = firstAt(place, scrolled + top / scale); k < shown.length && place.tops[k] - scrolled <= bottom / scale; k += 1)
      if (place.heights[k]) paintItem(map, k, place.tops[k] - scrolled, place.heights[k])
    for (const k of map.named) paintModule(map, k, place.tops[k] - scrolled)
    paintFrames(map, scrolled)
    pen.restore()
  }
  map.font = ''
  paintAxis(map)
}

function paintItem(map, k, y, height) {
  const { pen, place, known, shown, css } = map
  const item = shown[k]
  const under = (map.pointed && map.pointed.item === k) || isLit(map, item)
  if (under) {
    pen.fillStyle = css.hover
    pen.fillRect(0, y, place.right, height)
  }
  if (item.row === undefined) return paintGroup(map, item, k, y, height)
  paintLabel(map, map.labels[k], y, height, under, depthOf(map, item))
  known.columns.forEach((label, column) => {
    if (!label) return
    const cell = known.at(item.row, column)
    if (cell) paintCell(map, cell, place.xs[column], y, place.column, height)
  })
  const note = known.noteOf.get(item.row)
  if (note && height >= 12) {
    setFont(map, `11px ${css.font}`)
    pen.fillStyle = css.muted
    pen.textAlign = 'left'
    pen.fillText(note[1], place.xs[note[0]] + 3, y + height / 2)
  }
}

// The name of an open module beside rows that are too thin for their own; where the next may stand.
function paintModule(map, k, y) {
  if (map.known.groups[map.shown[k].group].depth && map.place.heights.some(height => height >= 9)) return y
  paintLabel(map, map.known.groups[map.shown[k].group].path, y, 12, false, 0)
  map.pen.fillStyle = map.css.line
  map.pen.fillRect(0, y, map.place.labels - 4, 1)
  return y + 14
}

function paintGroup(map, item, k, y, height) {
  const { pen, place, known } = map
  paintLabel(map, `${item.open ? '\u25be' : '\u25b8'} ${map.labels[k]}`, y, height, true, depthOf(map, item))
  if (item.open) {
    pen.fillStyle = map.css.line
    pen.fillRect(place.labels, y + height - 4, place.right - place.labels, 1)
    return
  }
  known.columns.forEach((label, column) => {
    const cell = label && worstOf(known, item.group, column)
    if (cell) paintCell(map, cell, place.xs[column], y, place.column, height)
  })
}

function depthOf(map, item) {
  if (item.row === undefined) return map.known.groups[item.group].depth
  if (!map.isGrouped) return 0
  const group = map.known.rows[item.row].group
  return group === null ? 0 : map.known.groups[group].depth + 1
}

function paintLabel(map, text, y, height, strong, depth) {
  if (height < 9) return
  const { pen, place, css } = map
  const size = Math.min(FONT, height - 1)
  setFont(map, `${strong ? 600 : 400} ${size}px ${css.font}`)
  pen.fillStyle = css.text
  pen.textAlign = 'left'
  pen.textBaseline = 'middle'
  const left = 2 + 10 * depth
  pen.fillText(shortened(pen, text, place.labels - left - 6), left, y + height / 2 + 0.5)
}

// A font is read anew each time it is set, so it is set where it changes.
function setFont(map, font) {
  if (map.font !== font) map.pen.font = map.font = font
}

// The end of a path says more than its beginning.
function shortened(pen, text, room) {
  if (pen.measureText(text).width <= room) return text
  let from = 1
  while (from < text.length && pen.measureText('\u2026' + text.slice(from)).width > room) from += 1
  return '\u2026' + text.slice(from)
}

function paintCell(map, cell, x, y, width, height) {
  const { pen, colours, css } = map
  const gap = height >= 8 ? 2 : height >= 4 ? 1 : 0
  const [w, h] = [Math.max(1, width - (width >= 8 ? 2 : 0.5)), Math.max(1, height - gap)]
  if (cell.drop !== null) {
    pen.fillStyle = colours.cells[stepOf(cell.drop, map.tolerance, map.ends)]
    if (cell.pale) {
      const inner = h >= 8 ? h * 0.72 : h
      pen.globalAlpha = colours.pale
      pen.fillRect(x + (w * (1 - SMALL)) / 2, y + (h - inner) / 2, w * SMALL, inner)
      pen.globalAlpha = 1
    } else pen.fillRect(x, y, w, h)
  } else if (cell.grey !== null) {
    pen.fillStyle = colours.cells[cell.grey]
    pen.fillRect(x, y, w, h)
  } else if (cell.mark === 'waiting') {
    pen.strokeStyle = css.line
    pen.lineWidth = 1
    if (h >= 5) pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1)
  }
  if (cell.mark) paintMark(map, cell, x, y, w, h)
}

// Of what stands on a cell.
function inkOf(map, cell) {
  if (cell.drop === null) return cell.grey === null ? map.colours.mark : map.colours.inks[cell.grey]
  return cell.pale ? map.css.text : map.colours.inks[stepOf(cell.drop, map.tolerance, map.ends)]
}

function paintMark(map, cell, x, y, w, h) {
  const { pen, css, colours } = map
  if (cell.mark === 'between') {
    pen.strokeStyle = inkOf(map, cell)
    pen.lineWidth = 1
    pen.beginPath()
    pen.moveTo(x + w * 0.15, y + h * 0.85)
    pen.lineTo(x + w * 0.85, y + h * 0.15)
    pen.stroke()
    return
  }
  if (cell.mark === 'waiting') return
  const glyph = map.glyphs.get(cell.mark)
  const roomy = h >= 11 && w >= 9
  if (roomy && cell.mark === 'undecided') {              // the glyph's dot, which needs no text to be laid out
    pen.fillStyle = inkOf(map, cell)
    pen.fillRect(x + w / 2 - 1, y + h / 2 - 1, 2, 2)
  } else if (roomy) {
    setFont(map, `${Math.min(14, h)}px ${css.font}`)
    pen.fillStyle = inkOf(map, cell)
    pen.textAlign = 'center'
    pen.textBaseline = 'middle'
    pen.fillText(glyph, x + w / 2, y + h / 2 + 1)
  } else if (cell.mark === 'failed' || cell.mark === 'no effect') {
    pen.fillStyle = colours.mark                       // no colour and no room: a stroke says that something is there
    pen.fillRect(x + w * 0.3, y + h / 2 - 0.5, w * 0.4, 1)
  } else if (cell.mark === 'forecast' && h >= 3) {
    pen.fillStyle = colours.mark
    pen.fillRect(x + w * 0.25, y + h / 2 - 0.5, w * 0.5, 1)
  }
}

function paintAxis(map) {
  const { pen, place, known, css, pointed } = map
  pen.fillStyle = css.background
  pen.fillRect(0, 0, place.width, place.top)
  pen.textBaseline = 'middle'
  pen.textAlign = 'center'
  pen.fillStyle = css.text
  setFont(map, `600 ${FONT}px ${css.font}`)
  for (const [text, middle] of known.headings) {
    const whole = Math.floor(middle)
    const x = (place.xs[whole] + place.xs[Math.ceil(middle)]) / 2 + place.column / 2
    const wide = pen.measureText(text).width / 2
    pen.fillText(text, Math.min(Math.max(x, wide), place.width - wide), HEADING / 2 + 2)
  }
  const y = place.top - AXIS / 2
  setFont(map, `${FONT}px ${css.font}`)
  const widest = Math.max(0, ...known.columns.map(label => pen.measureText(label).width))
  const step = Math.max(1, Math.ceil((widest + 6) / place.column))
  let since = 0
  known.columns.forEach((label, column) => {
    if (!label) { since = 0; return }
    const isFree = !pointed || pointed.column === null || Math.abs(pointed.column - column) >= step  // that one is written below
    if (since % step === 0 && isFree) {
      pen.fillText(label, place.xs[column] + place.column / 2 - 1, y)
    }
    since += 1
  })
  if (pointed && pointed.column !== null) {
    setFont(map, `600 ${FONT}px ${css.font}`)
    pen.fillText(known.columns[pointed.column], place.xs[pointed.column] + place.column / 2 - 1, y)
  }
  pen.fillStyle = css.line
  pen.fillRect(0, place.top - 1, place.width, 1)
}

function paintFrames(map, scrolled) {
  const { pen, place, css, colours } = map
  pen.save()
  pen.beginPath()
  pen.rect(0, place.top, place.width, place.height - place.top)
  pen.clip()
  for (const [mark, , , places] of map.data.corners) for (const [row, column] of places) {
    const k = map.itemOf.get(row)
    if (k === undefined) continue
    const cell = map.known.at(row, column)
    const isOn = cell && !cell.pale && (cell.drop !== null || cell.grey !== null)   // a colour, which shows around the mark
    const inset = isOn ? Math.min(1.5, place.heights[k] * 0.1) : 0
    const [x, y, h] = [place.xs[column] + place.column - 2 - inset, place.tops[k] - scrolled, place.heights[k]]
    if (y > place.height || y + h < place.top) continue
    const side = Math.min(7, h * 0.6, place.column / 2)
    const ink = isOn ? inkOf(map, cell) : colours.chosen
    const [edge, inward] = mark === 'planned' ? [y + inset, 1] : [y + h - 2 - inset, -1]
    pen.fillStyle = ink
    pen.beginPath()
    pen.moveTo(x, edge)
    pen.lineTo(x - side, edge)
    pen.lineTo(x, edge + inward * side)
    if (mark === 'other n') { pen.lineWidth = 1; pen.strokeStyle = ink; pen.closePath(); pen.stroke() }
    else pen.fill()
  }
  for (const [row, column] of map.chosen) frame(map, map.itemOf.get(row), column, scrolled, colours.chosen, [])
  if (map.cursor && map.hasFocus) frame(map, map.cursor.item, map.cursor.column, scrolled, css.primary, [3, 2])
  pen.restore()
}

function frame(map, k, column, scrolled, colour, dash) {
  const { pen, place } = map
  if (k === undefined || k >= map.shown.length) return
  pen.strokeStyle = colour
  pen.lineWidth = 2
  pen.setLineDash(dash)
  const [y, h] = [place.tops[k] - scrolled, place.heights[k]]
  if (column === null) pen.strokeRect(1, y + 1, place.right - 2, Math.max(3, h - 3))
  else pen.strokeRect(place.xs[column] - 1, y - 1, place.column, Math.max(4, h))
  pen.setLineDash([])
}
