// A pen that writes SVG, with those words of a canvas's that paint.js and picture.js say: what is saved as a drawing is
// what is on the screen, and cannot drift from it.

const SVG = 'http://www.w3.org/2000/svg'

// `ruler` is the pen of a canvas, which alone knows how wide text is.
function svgPen(width, height, label, ruler) {
  const made = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name)
    for (const [key, value] of Object.entries(attributes))
      node.setAttribute(key, typeof value === 'number' ? String(Number(value.toFixed(2))) : value)
    if (text !== undefined) node.textContent = text
    return node
  }
  const root = made('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label })
  let [group, path, dash] = [root, '', '']
  const add = (name, attributes, text) => group.append(made(name, attributes, text))
  const ink = (kind, colour) => {                      // readers of SVG 1.1 know no colour that lets through
    const [, solid, through = 1] = colour.match(/^rgba\((.*),\s*([\d.]+)\)$/) || [null, null, 1]
    const strength = Number(through) * pen.globalAlpha
    return { [kind]: solid ? `rgb(${solid})` : colour, ...(strength < 1 ? { [`${kind}-opacity`]: strength } : {}) }
  }
  const line = () => (
    { fill: 'none', ...ink('stroke', pen.strokeStyle), 'stroke-width': pen.lineWidth, ...(dash ? { 'stroke-dasharray': dash } : {}) })
  const pen = {
    root, fillStyle: '#000', strokeStyle: '#000', lineWidth: 1, globalAlpha: 1, font: '', textAlign: 'left', textBaseline: 'middle',
    fillRect: (x, y, wide, high) => add('rect', { x, y, width: wide, height: high, ...ink('fill', pen.fillStyle) }),
    strokeRect: (x, y, wide, high) => add('rect', { x, y, width: wide, height: high, ...line() }),
    fillText: (text, x, y) => {
      const [, weight = '400', size, family] = pen.font.match(/^(?:(\d+) )?([\d.]+)px (.*)$/)
      add('text', {
        x, y: y + 0.35 * size, 'font-size': size, 'font-family': family, ...(weight === '400' ? {} : { 'font-weight': weight }),
        ...(pen.textAlign === 'center' ? { 'text-anchor': 'middle' } : {}), ...ink('fill', pen.fillStyle),
      }, text)
    },
    measureText: text => { ruler.font = pen.font; return ruler.measureText(text) },
    beginPath: () => { path = '' },
    moveTo: (x, y) => { path += `M${x.toFixed(2)} ${y.toFixed(2)}` },
    lineTo: (x, y) => { path += `L${x.toFixed(2)} ${y.toFixed(2)}` },
    closePath: () => { path += 'Z' },
    fill: () => add('path', { d: path, ...ink('fill', pen.fillStyle) }),
    stroke: () => add('path', { d: path, ...line() }),
    setLineDash: steps => { dash = steps.join(' ') },
    translate: (x, y) => {
      const inner = made('g', { transform: `translate(${x} ${y})` })
      group.append(inner)
      group = inner
    },
    save: () => {}, rect: () => {}, clip: () => {}, restore: () => {},   // nothing is scrolled, so nothing is cut off
  }
  return pen
}
