// The bar of colours: a side for improvements where there are any, and a tick at the tolerance that can be moved.

const BETTER = 0.3                                    // of the bar's width, for improvements

// While the tick is moved the bar stays as it was (`map.barTolerance`): the tick runs along it, and colours change.
function paintBar(map) {
  const { parts, data } = map
  const width = Math.max(120, parts.gradient.clientWidth || parts.bar.clientWidth)
  const scale = window.devicePixelRatio || 1
  const canvas = parts.gradient
  if (canvas.width !== Math.round(width * scale)) { canvas.width = Math.round(width * scale); canvas.height = Math.round(13 * scale) }
  const pen = canvas.getContext('2d')
  pen.setTransform(scale, 0, 0, scale, 0, 0)
  const { boxes, ticks, at, told, worse, base } = barOf(map, width)
  pen.clearRect(0, 0, width, 13)
  for (const [x, wide, colour] of boxes) {
    pen.fillStyle = colour
    pen.fillRect(x, 0, wide, 13)
  }
  parts.ticks.replaceChildren(...ticks.map(([x, label]) => {
    const tick = document.createElement('span')
    tick.textContent = label
    tick.style.left = `${x}px`
    if (x === 0) tick.style.transform = 'none'
    return tick
  }))
  parts.tick.style.left = `${at}px`
  parts.tick.dataset.text = `tolerance ${told}`
  parts.tick.setAttribute('aria-valuenow', String(map.tolerance))
  parts.tick.setAttribute('aria-valuetext', told)
  parts.tick.setAttribute('aria-disabled', String(!data.canTolerate))
  parts.tick.title = data.canTolerate ? 'Drag it, or press the arrow keys, to change the tolerance' : 'Tolerance'
  map.barAt = { worse, base }
}

// What it shows at a width: boxes [x, width, colour], ticks [x, label], where the tolerance stands, and its words.
function barOf(map, width) {
  const { known, ends } = map
  const base = map.barTolerance ?? map.tolerance
  const zero = known.betters ? width * BETTER : 0
  const worse = side(ends.worse, zero, width - zero)
  const better = side(ends.better, zero, -zero)
  const stepAt = x => stepOf(base * (x < zero ? -better.share(x) : worse.share(x)), map.tolerance, ends)
  const boxes = []
  for (let x = 0, from = 0; x < width; x += 1) {
    if (x + 1 < width && stepAt(x + 1) === stepAt(x)) continue
    boxes.push([from, Math.min(width, x + 1) - from, map.colours.cells[stepAt(x)]])
    from = x + 1
  }
  const text = share => dropText(known.scale, base * share)
  const labelled = ends.worse.filter((_, i) => i % 2)
  const ticks = labelled.map(end => [worse.at(end), text(end)])
  ticks.unshift([zero, '0'])
  if (known.betters) ticks.unshift([better.at(ends.better.at(-1)), text(-ends.better.at(-1))])
  const at = Math.min(width - 1, Math.max(zero, worse.at(map.tolerance / base)))
  return { boxes, ticks, at, told: `${dropText(known.scale, map.tolerance).replace('+', '')} ${known.dropUnit}`, worse, base }
}

// One side of the bar from `from` on: a box as wide as another for each step, its ends in tolerances.
function side(ends, from, wide) {
  const [low, high] = [ends[0] * ends[0] / ends[1], ends.at(-1) * ends.at(-1) / ends.at(-2)]
  const octaves = Math.log2(high / low)
  return {
    low, high,
    at: share => from + (Math.log2(share / low) / octaves) * wide,
    share: x => low * 2 ** (((x - from) / wide) * octaves),
  }
}

function toleranceAt(map, x) {
  const { worse, base } = map.barAt
  return Number((base * Math.min(worse.high, Math.max(worse.low, worse.share(x)))).toPrecision(3))
}

function setTolerance(map, tolerance) {
  map.tolerance = tolerance
  paintBar(map)
  paintSoon(map)
}

function sendTolerance(map) {
  map.barTolerance = null
  paintBar(map)
  map.sendState('tolerance', map.tolerance)
}

// Marks that occur: [mark, glyph, words].
const keyOf = ({ known, data }) => [...known.key, ...data.corners]

function fillKey(map) {
  map.parts.marks.replaceChildren(...keyOf(map).map(([, glyph, words]) => {
    const item = document.createElement('li')
    const sign = document.createElement('b')
    sign.textContent = glyph
    item.append(sign, words)
    return item
  }))
}
