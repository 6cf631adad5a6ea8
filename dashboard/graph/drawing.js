// Boxes, frames and edges as SVG; where they stand is dagre's.

const SVG = 'http://www.w3.org/2000/svg'
const WIDE = 148, TALL = 56, SMALL = 26, CHARS = 21, TITLE = 16

function make(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  if (text !== undefined) node.textContent = text
  if (parent) parent.appendChild(node)
  return node
}

const short = (text, most) => text.length <= most ? text : '…' + text.slice(1 - most)

/**
 * Where all that is seen stands. Every open group is laid out by itself and is one thing of the group around it: of
 * hundreds of layers dagre is given a few dozen at a time. Edges that cross its border go through a port on it.
 */
function laidOut(dagre, state, things) {
  const shown = new Map(state.groups.filter(group => isSeenOpen(state, group)).map(group => [group.path, group]))
  const around = id => id.startsWith('frame:') ? shown.get(id.slice(6)).parent
    : id.startsWith('group:') ? state.values.get(id).parent : state.values.get(id).group
  const within = (id, path) => {                      // what of a group holds it; null outside
    while (around(id) !== path) {
      if (!around(id)) return null
      id = `frame:${around(id)}`
    }
    return id
  }
  const inside = new Map([['', []], ...[...shown.keys()].map(path => [path, []])])
  for (const id of things.keys()) inside.get(around(id)).push(id)
  for (const [path, group] of shown) inside.get(group.parent).push(`frame:${path}`)
  const edges = [...things].flatMap(([id, reads]) => [...reads].map(from => [from, id]))
  if (state.isTree) {                                 // nobody knows who reads whom: rows of six
    const ids = [...things.keys()]
    edges.push(...ids.slice(6).map((id, i) => [ids[i], id]))
  }
  const scope = path => {
    const g = new dagre.graphlib.Graph(), inner = new Map()
    g.setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 26, edgesep: 8, marginx: 8, marginy: 8 })
    g.setDefaultEdgeLabel(() => ({}))
    for (const id of inside.get(path)) {
      if (id.startsWith('frame:')) inner.set(id, scope(id.slice(6)))
      g.setNode(id, { ...(inner.get(id) || sizeOf(state.values.get(id))) })
    }
    for (const [from, to] of edges) {
      const start = within(from, path) ?? 'in', end = within(to, path) ?? 'out'
      if (start === end || (start === 'in' && end === 'out')) continue
      for (const port of [start, end]) if (port === 'in' || port === 'out') g.setNode(port, { width: 1, height: 1 })
      g.setEdge(start, end)
    }
    dagre.layout(g)
    const { width, height } = g.graph(), title = path ? TITLE : 0
    return { g, inner, title, width, height: height + title }
  }
  const found = { places: new Map(), frames: [], edges: [] }
  const collect = (laid, left, top) => {
    const at = id => ({ ...laid.g.node(id), x: left + laid.g.node(id).x, y: top + laid.title + laid.g.node(id).y })
    for (const id of laid.g.nodes()) {
      if (id === 'in' || id === 'out') continue
      const place = at(id)
      if (!laid.inner.has(id)) { found.places.set(id, place); continue }
      const x = place.x - place.width / 2, y = place.y - place.height / 2
      found.frames.push({ path: id.slice(6), x, y, width: place.width, height: place.height })
      collect(laid.inner.get(id), x, y)
    }
    const port = (id, which) => {                     // height of an inner port, seen from here
      const inner = laid.inner.get(id)
      return inner?.g.hasNode(which) ? at(id).y - inner.height / 2 + inner.title + inner.g.node(which).y : null
    }
    for (const edge of laid.g.edges()) {
      const points = laid.g.edge(edge).points.map(({ x, y }) => ({ x: left + x, y: top + laid.title + y }))
      const first = points[0], last = points[points.length - 1]
      if (edge.v === 'in') Object.assign(first, { x: left, y: at('in').y })
      if (edge.w === 'out') Object.assign(last, { x: left + laid.width, y: at('out').y })
      const out = port(edge.v, 'out'), into = port(edge.w, 'in')
      if (out !== null) Object.assign(first, { x: at(edge.v).x + at(edge.v).width / 2, y: out })
      if (into !== null) Object.assign(last, { x: at(edge.w).x - at(edge.w).width / 2, y: into })
      found.edges.push(points)
    }
  }
  const whole = scope('')
  collect(whole, 0, 0)
  return { ...found, width: whole.width, height: whole.height }
}

function sizeOf(value) {
  return value.isLayer ? { width: WIDE, height: TALL } : { width: Math.max(54, 7 * value.label.length + 20), height: SMALL }
}

/** Whether a group is open, and all around it too. */
function isSeenOpen(state, group) {
  for (let at = group; at; at = state.groups.find(one => one.path === at.parent)) if (!state.open.has(at.path)) return false
  return true
}

function draw(state, laid, sheet) {
  const { width, height } = laid
  const svg = make('svg', { width: width * state.zoom, height: height * state.zoom, viewBox: `0 0 ${width} ${height}`,
    role: 'group', 'aria-label': state.label })
  for (const { path, x, y, width: wide, height: tall } of laid.frames) {
    const frame = make('g', { class: 'opened', 'data-path': path }, svg)
    make('rect', { class: 'frame', x, y, width: wide, height: tall, rx: 8 }, frame)
    make('text', { class: 'quiet', x: x + 6, y: y + 13 }, frame, short(`▾ ${path}`, Math.max(8, wide / 6.5)))
  }
  const edges = make('g', { 'aria-hidden': 'true' }, svg), front = make('g', {}, svg)
  if (!state.isTree) for (const points of laid.edges)
    make('path', { class: 'edge', d: curve(points.map(({ x, y }) => [x.toFixed(1), y.toFixed(1)])) }, edges)
  const drawn = new Map()
  for (const id of state.order) drawn.set(id, thing(state, id, laid.places.get(id), front))
  sheet.replaceChildren(svg)
  return drawn
}

function thing(state, id, { x, y, width, height }, parent) {
  const value = state.values.get(id), left = x - width / 2, top = y - height / 2
  const node = make('g', { class: 'thing', 'data-id': id, role: 'button', tabindex: -1, 'aria-label': value.tip.join('. ') }, parent)
  const folded = id.startsWith('group:')
  if (folded) {
    node.setAttribute('aria-expanded', 'false')
    make('rect', { class: 'under', x: left + 4, y: top + 4, width, height, rx: 6 }, node)
  }
  const body = make('rect', { class: 'body', x: left, y: top, width, height, rx: 6 }, node)
  if (!value.isLayer) body.classList.add('between')
  else if (value.fill === null) body.classList.add('unknown')
  else body.setAttribute('fill', value.fill)
  if (!value.isLayer) {
    make('text', { x, y: y + 4, 'text-anchor': 'middle' }, node, short(value.label, CHARS))
    return node
  }
  make('text', { x: left + 8, y: top + 18, 'font-weight': 600 }, node, short((folded ? '▸ ' : '') + value.label, CHARS))
  value.detail.split(', ').forEach((line, i) => make('text', { class: 'quiet', x: left + 8, y: top + 31 + 12 * i }, node, short(line, CHARS + 3)))
  if (value.gone > 0) make('rect', { class: 'gone', x: left + 1, y: top + height - 5, width: (width - 2) * value.gone, height: 4 }, node)
  return node
}

function curve(points) {
  if (points.length < 3) return 'M' + points.map(point => point.join(' ')).join('L')
  let path = `M${points[0].join(' ')}`
  for (let i = 1; i < points.length - 1; i++) {
    const end = i === points.length - 2 ? points[i + 1]
      : [(Number(points[i][0]) + Number(points[i + 1][0])) / 2, (Number(points[i][1]) + Number(points[i + 1][1])) / 2]
    path += `Q${points[i].join(' ')} ${end.join(' ')}`
  }
  return path
}
