// Numbers as people read them: core/wording.py for numbers that change under the hand. Held together by a test.

const MINUS = '\u2212'
const UNBROKEN = '\u00a0'
// Halves go to the even digit, as in Python; formats are kept, for making one takes longer than using it.
const formats = new Map()
function formatted(options, value) {
  const key = JSON.stringify(options)
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat('en-US', { roundingMode: 'halfEven', ...options }))
  return formats.get(key).format(value)
}
const fixed = (value, places, useGrouping = false) =>
  formatted({ minimumFractionDigits: places, maximumFractionDigits: places, useGrouping }, value)
const grouped = (value, places) => fixed(value, places, true)
const digits = value => formatted({ maximumSignificantDigits: 3, useGrouping: true }, value)

function number(value, places) {
  if (value !== 0 && Math.abs(value) < 10 ** (1 - places))
    places = Math.min(12, 1 - Math.floor(Math.log10(Math.abs(value))))
  else if (Math.abs(value) >= 1000) places = Math.max(0, places - 2)
  return grouped(value, places)
}

export function metricText(scale, value) {
  if (scale.unit === 'fraction') return `${fixed(100 * value, 2)} %`
  return number(value, 3).replace('-', MINUS) + (scale.unit === scale.name ? '' : ` ${scale.unit}`)
}

export function dropText(scale, value) {
  if (scale.unit === 'fraction') {
    const text = fixed(100 * value, 2)
    if (Number(text) === 0) return '0.00'
    return (value > 0 ? '+' : '') + text.replace('-', MINUS)
  }
  const text = number(value, 3)
  return value === 0 ? text : ((value > 0 ? '+' : '') + text).replace('-', MINUS)
}

export function shareText(fraction) {
  const percent = 100 * fraction
  if (percent > 0 && percent < 0.05) return '< 0.1 %'
  if (percent >= 99.5 && percent < 100) return '> 99 %'
  return `${fixed(percent, percent >= 10 || percent === Math.round(percent) ? 0 : 1)} %`
}

// Percent without needless digits: 12.5, 99.999.
export function percentText(fraction) {
  return String(Number((100 * fraction).toPrecision(10)))
}

// An amount of a cost in its unit.
export function amountText(unit, value) {
  if (unit === '') return grouped(Math.round(value), 0)
  if (unit === 'ms') return `${value === 0 ? '0' : grouped(value, milliPlaces(value))} ms`
  if (unit === 'B' && value < 1000) return `${grouped(value, 0)} B`
  for (const prefix of ['', 'k', 'M', 'G']) {
    if (value < 999.5) return `${digits(value)} ${prefix}${unit}`
    value /= 1000
  }
  return value < 999.5 ? `${digits(value)} T${unit}` : `${grouped(value, 0)} T${unit}`
}

const milliPlaces = value => Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
