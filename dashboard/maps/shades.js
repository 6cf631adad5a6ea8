// Colours of drops. `shade` is core/sensitivity/maps/marks.py once more, held together by a test.

// Where a drop stands, from -1, far better, to 1, far beyond the tolerance: in octaves of the tolerance, clipped.
export function shade(drop, tolerance, [low, high]) {
  if (drop === 0) return 0
  const place = (Math.log2(Math.abs(drop) / tolerance) - low) / (high - low)
  return Math.sign(drop) * Math.min(1, Math.max(0, place))
}

// [red, green, blue] of a place, 0 to 1, on a list of colours.
export function onScale(colours, place) {
  const at = place * (colours.length - 1)
  const i = Math.min(colours.length - 2, Math.floor(at))
  const [a, b] = [rgb(colours[i]), rgb(colours[i + 1])]
  return a.map((one, k) => Math.round(one + (b[k] - one) * (at - i)))
}

const kept = new Map()
function rgb(text) {
  if (!kept.has(text)) kept.set(text, [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16)))
  return kept.get(text)
}

const STEPS = 64
// Colour of a drop: 2 × STEPS + 1 texts, made once for a theme.
export function palette(colours) {
  const side = (list, n) => Array.from({ length: n + 1 }, (_, i) => `rgb(${onScale(list, i / n).join()})`)
  const worse = side(colours.costly, STEPS)
  const better = side(colours.better, STEPS)
  return place => (place < 0 || Object.is(place, -0) ? better[Math.round(-place * STEPS)] : worse[Math.round(place * STEPS)])
}
