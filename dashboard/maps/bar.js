// The bar of colours: a side for improvements where there are any, and a tick at the tolerance that can be moved.

const BETTER = 0.3                                    // of the bar's width, for improvements

// While the tick is moved the bar stays as it was (`map.barTolerance`): the tick runs along it, and cells change.
function paintBar(map) {
  const { parts, known, data } = map
  const [low, high] = map.octaves
  const base = map.barTolerance ?? map.tolerance
  const width = Math.max(120, parts.gradient.clientWidth || parts.bar.clientWidth)
  const scale = window.devicePixelRatio || 1
  const canvas = parts.gradient
  if (canvas.width !== Math.round(width * scale)) { canvas.width = Math.round(width * scale); canvas.height = Math.round(13 * scale) }
  const pen = canvas.getContext('2d')
  pen.setTransform(scale, 0, 0, scale, 0, 0)
  const zero = known.betters ? width * BETTER : 0
  map.colour = map.colour || palette(map.colours)
  for (let x = 0; x < width; x += 1) {
    const share = x < zero ? -(zero - x) / zero : (x - zero) / (width - zero)
    const drop = Math.sign(share) * base * 2 ** (low + Math.abs(share) * (high - low))
    pen.fillStyle = map.colour(shade(drop, map.tolerance, map.octaves))
    pen.fillRect(x, 0, 1.5, 13)
  }
  const at = octave => zero + ((octave - low) / (high - low)) * (width - zero)
  const text = octave => dropText(known.scale, base * 2 ** octave)
  const ticks = [[zero, known.betters ? '0' : `\u2264 ${text(low)}`], [at(2), text(2)], [width, `\u2265 ${text(high)}`]]
  if (known.betters) ticks.unshift([0, `\u2264 ${dropText(known.scale, -base * 2 ** high)}`])
  parts.ticks.replaceChildren(...ticks.map(([x, label]) => {
    const tick = document.createElement('span')
    tick.textContent = label
    tick.style.left = `${x}px`
    return tick
  }))
  const octave = Math.min(high, Math.max(low, Math.log2(map.tolerance / base)))
  parts.tick.style.left = `${at(octave)}px`
  const told = `${dropText(known.scale, map.tolerance).replace('+', '')} ${known.dropUnit}`
  parts.tick.dataset.text = `tolerance ${told}`
  parts.tick.setAttribute('aria-valuenow', String(map.tolerance))
  parts.tick.setAttribute('aria-valuetext', told)
  parts.tick.setAttribute('aria-disabled', String(!data.canTolerate))
  parts.tick.title = data.canTolerate ? 'Drag it, or press the arrow keys, to change the tolerance' : 'Tolerance'
  map.barAt = { zero, width, low, high, base }
}

function toleranceAt(map, x) {
  const { zero, width, low, high, base } = map.barAt
  const octave = low + ((x - zero) / (width - zero)) * (high - low)
  return Number((base * 2 ** Math.min(high, Math.max(low, octave))).toPrecision(3))
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

function fillKey(map) {
  const { parts, known, data } = map
  const marks = [...known.key, ...data.corners.map(([mark, glyph, words]) => [mark, glyph, words])]
  parts.marks.replaceChildren(...marks.map(([, glyph, words]) => {
    const item = document.createElement('li')
    const sign = document.createElement('b')
    sign.textContent = glyph
    item.append(sign, words)
    return item
  }))
}
