// The map as a file: all rows as they are sorted and folded, also those scrolled out of sight, with title, order, colour
// bar and key above them; what is pointed at leaves no trace. Names are never shortened there.

const EDGE = 12, TEXT = 18, NARROWEST = 460, SHARP = 2, LONGEST = 16000   // CSS pixels; a canvas holds no longer side

function savePng(map) {
  const { whole, width, height } = wholeOf(map)
  const scale = Math.min(SHARP, LONGEST / Math.max(width, height))   // of very many rows less sharp, but all of them
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(width * scale)
  canvas.height = Math.round(height * scale)
  const pen = canvas.getContext('2d')
  pen.scale(scale, scale)
  paintWhole(whole, pen, width, height)
  canvas.toBlob(blob => saveFile(map, blob, 'png'), 'image/png')
}

function saveSvg(map) {
  const { whole, width, height } = wholeOf(map)
  const pen = svgPen(width, height, map.data.label, whole.pen)
  paintWhole(whole, pen, width, height)
  saveFile(map, new Blob([new XMLSerializer().serializeToString(pen.root)], { type: 'image/svg+xml' }), 'svg')
}

function saveFile(map, blob, ending) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = `${map.data.file || 'map'}.${ending}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

// The map with room for every name and row, and how large the picture is.
function wholeOf(map) {
  const ruler = document.createElement('canvas').getContext('2d')
  const whole = { ...map, pen: ruler, font: '', pointed: null, hasFocus: false, lit: new Set() }
  setFont(whole, `600 ${FONT}px ${map.css.font}`)
  const wide = map.shown.map((item, k) => {
    const name = item.row === undefined ? `${map.known.groups[item.group].path} (000)` : map.labels[k]
    return ruler.measureText(name).width + 10 * depthOf(map, item) + 16
  })
  const labels = Math.max(map.place.labels, ...wide)
  const shift = labels - map.place.labels
  const right = map.place.right + shift
  const width = Math.max(NARROWEST, right + 8)
  whole.place = { ...map.place, labels, xs: map.place.xs.map(x => x + shift), right, width, height: map.place.total }
  whole.head = paintHead(whole)
  return { whole, width: Math.ceil(width + 2 * EDGE), height: Math.ceil(whole.head + map.place.total + 2 * EDGE) }
}

function paintWhole(whole, pen, width, height) {
  Object.assign(whole, { pen, font: '' })
  pen.fillStyle = whole.css.background
  pen.fillRect(0, 0, width, height)
  pen.translate(EDGE, EDGE)
  paintHead(whole)
  pen.translate(0, whole.head)
  paintSheet(whole, 0)
}

// Title, order, colour bar and key; returns how high they are.
function paintHead(map) {
  const { pen, css, known, place } = map
  const write = (text, x, y, weight = 400) => {
    setFont(map, `${weight} ${FONT}px ${css.font}`)
    pen.fillStyle = css.text
    pen.fillText(text, x, y)
    return pen.measureText(text).width
  }
  pen.textAlign = 'left'
  pen.textBaseline = 'middle'
  write(known.title || map.data.label, 0, TEXT / 2, 600)
  write(orderText(map), 0, 1.5 * TEXT)
  const wide = Math.min(place.width, 540), y = 3 * TEXT
  const { boxes, ticks, at, told } = barOf(map, wide)
  for (const [x, width, colour] of boxes) {
    pen.fillStyle = colour
    pen.fillRect(x, y, width, 13)
  }
  pen.fillStyle = css.text
  pen.fillRect(at, y - 14, 2, 29)
  write(`tolerance ${told}`, at + 5, y - 8)
  pen.textAlign = 'center'
  for (const [x, label] of ticks) write(label, Math.max(x, pen.measureText(label).width / 2), y + 24)
  pen.textAlign = 'left'
  let [left, down] = [0, y + 13 + 1.5 * TEXT]
  for (const [, glyph, words] of keyOf(map)) {
    const width = pen.measureText(words).width + 18
    if (left && left + width > place.width) [left, down] = [0, down + TEXT]
    write(glyph, left, down, 600)
    write(words, left + 16, down)
    left += width + 14
  }
  return down + (left ? TEXT : 0)
}

// `14 rows, drop at 90 %, turned round`.
function orderText({ parts, how }) {
  const [, sort] = SORTS.find(([name]) => name === how.sort)
  const at = how.sort === 'drop' || how.sort === 'limit' ? ` at ${parts.at.selectedOptions[0].textContent}` : ''
  return `${parts.count.textContent}, ${sort}${at}${how.turned ? ', turned round' : ''}`
}
