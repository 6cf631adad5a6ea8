// Mini curves: one path each, drawn when the row is made; only the mark moves afterwards.

const WIDTH = 96
const HEIGHT = 26
const SVG = 'http://www.w3.org/2000/svg'

const xOf = sparsity => 2 + sparsity * (WIDTH - 4)
const yOf = fall => 3 + Math.sqrt(fall) * (HEIGHT - 6)  // the root: small falls are most of what there is to see

export function makeCurve() {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('class', 'curve')
  svg.setAttribute('aria-hidden', 'true')           // the slider beside it says the same in words
  for (const name of ['limit', 'line', 'beyond', 'mark']) {
    const part = document.createElementNS(SVG, name === 'mark' ? 'circle' : 'path')
    part.setAttribute('class', name)
    svg.append(part)
  }
  svg.lastChild.setAttribute('r', 3.2)
  return svg
}

// `falls`: part of the largest drop at the levels, [0, 1]; the same for all rows, so that curves can be compared.
export function drawCurve(svg, row, falls) {
  const [limit, line, beyond] = svg.children
  svg.classList.toggle('unknown', falls === null)
  if (row.limit !== null) limit.setAttribute('d', `M${xOf(row.limit)} 1V${HEIGHT - 1}`)
  else limit.removeAttribute('d')
  if (falls === null) {
    line.setAttribute('d', `M${xOf(0)} ${yOf(0)}H${xOf(1)}`)
    beyond.removeAttribute('d')
    return
  }
  const points = row.levels.map((level, i) => `${xOf(level).toFixed(1)} ${yOf(falls[i]).toFixed(1)}`)
  line.setAttribute('d', `M${points.join('L')}`)
  const last = row.levels.length - 1
  const reach = row.levels[last]
  const end = Math.min(1, falls[last] + (falls[last] - falls[last - 1]) / (reach - row.levels[last - 1]) * (1 - reach))
  beyond.setAttribute('d', reach < 1 ? `M${points[last]}L${xOf(1)} ${yOf(end).toFixed(1)}` : '')
}

export function moveMark(svg, row, falls, sparsity) {
  const mark = svg.lastChild
  mark.setAttribute('cx', xOf(sparsity).toFixed(1))
  mark.setAttribute('cy', yOf(falls === null ? 0 : Math.min(1, onLine(row.levels, falls, sparsity))).toFixed(1))
}
