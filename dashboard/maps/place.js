// Where things lie on the canvas, in CSS pixels.

const ROW = 22, HEAD = 18, LEAST = 1, AXIS = 24, HEADING = 18, WIDEST = 64, APART = 10, FONT = 12, MEASURED = 16

function layOut(map) {
  const { known, shown, how, parts, pen } = map
  const width = parts.view.clientWidth
  const top = AXIS + (known.headings.length ? HEADING : 0)
  const most = Math.max(200, Math.min(860, window.innerHeight - 300))
  const labels = Math.min(widestLabel(map) + 14, width * (width < 640 ? 0.34 : 0.42))
  const gaps = known.columns.filter(label => !label).length
  const column = Math.max(3, Math.min(WIDEST, (width - labels - 8 - gaps * APART) / Math.max(1, known.columns.length - gaps)))
  const heights = shown.map(item => (item.row !== undefined || !item.open ? ROW : HEAD))
  if (how.fit) {
    const n = shown.filter(item => !item.open).length
    const each = Math.max(LEAST, Math.min(ROW, (most - top - 4) / Math.max(1, n)))
    shown.forEach((item, k) => { heights[k] = item.open ? 0 : each })
  }
  const tops = []
  let total = top
  for (const height of heights) { tops.push(total); total += height }
  const xs = []
  let x = labels
  for (const label of known.columns) { xs.push(x); x += label ? column : APART }
  const height = Math.min(most, total + 4)
  map.place = { width, height, top, labels, column, heights, tops, total: total + 4, xs, right: x }
  parts.view.style.height = `${height}px`
  parts.tall.style.height = `${total + 4}px`
}

// Of hundreds of names only those with most letters are measured, so that this grows little with the rows.
function widestLabel(map) {
  const { pen, shown, labels } = map
  const indent = shown.map(item => 10 * depthOf(map, item) + (item.row === undefined ? 16 : 0))
  const long = k => labels[k].length * 7 + indent[k]
  const few = labels.map((_, k) => k).sort((a, b) => long(b) - long(a)).slice(0, MEASURED)
  pen.font = `${FONT}px ${map.css.font}`
  return Math.max(0, ...few.map(k => pen.measureText(labels[k]).width + indent[k]))
}

// The item and column under a point of the canvas; null outside.
function pick(map, x, y) {
  const { place, shown, known } = map
  const down = y + map.parts.view.scrollTop
  if (y < place.top || y > place.height || !shown.length) return null
  let k = firstAt(place, down)
  while (k < shown.length - 1 && place.tops[k] + place.heights[k] <= down) k += 1
  if (down > place.tops[k] + place.heights[k]) return null
  const column = place.xs.findIndex((left, c) => known.columns[c] && x >= left && x < left + place.column)
  return { item: k, column: column < 0 ? null : column }
}

// Position of the first item that ends below a height; tops only rise.
function firstAt(place, down) {
  let [low, high] = [0, place.tops.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (place.tops[middle] + place.heights[middle] > down) high = middle
    else low = middle + 1
  }
  return Math.max(0, low)
}

function scrollTo(map, k) {
  const { place, parts } = map
  const [above, below] = [place.tops[k] - place.top, place.tops[k] + place.heights[k] - place.height]
  if (parts.view.scrollTop > above) parts.view.scrollTop = above
  else if (parts.view.scrollTop < below + 2) parts.view.scrollTop = below + 2
}
