// Boxes, frames and edges as SVG; where they stand is dagre's.

const SVG = 'http://www.w3.org/2000/svg'
const WIDE = 148, TALL = 50, SMALL = 26, CHARS = 21, MANY = 250, TITLE = 15

function make(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  if (text !== undefined) node.textContent = text
  if (parent) parent.appendChild(node)
  return node
}

const short = (text, most) => text.length <= most ? text : '…' + text.slice(1 - most)

/** Places of all that is seen: dagre's graph. Of a tree of modules nobody knows the order, so they stand in rows. */
function laidOut(dagre, state, things) {
  const g = new dagre.graphlib.Graph({ compound: true })
  const top = Math.max(0, ...state.groups.filter(one => isSeenOpen(state, one)).map(one => levels(state, one)))
  g.setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 30, edgesep: 8, marginx: 6, marginy: 6 + TITLE * top,
    ranker: things.size > MANY ? 'longest-path' : 'network-simplex' })
  g.setDefaultEdgeLabel(() => ({}))
  const shownGroups = state.groups.filter(group => isSeenOpen(state, group))
  for (const group of shownGroups) g.setNode(`frame:${group.path}`, {})
  for (const group of shownGroups)
    if (group.parent) g.setParent(`frame:${group.path}`, `frame:${group.parent}`)
  for (const [id] of things) {
    const value = state.values.get(id)
    g.setNode(id, { width: value.isLayer ? WIDE : Math.max(54, 7 * value.label.length + 20), height: value.isLayer ? TALL : SMALL })
    const around = id.startsWith('group:') ? value.parent : value.group
    if (around) g.setParent(id, `frame:${around}`)
  }
  for (const [id, inputs] of things) for (const from of inputs) g.setEdge(from, id)
  if (state.isTree) {
    const ids = [...things.keys()]
    for (let i = 6; i < ids.length; i++) g.setEdge(ids[i - 6], ids[i])
  }
  dagre.layout(g)
  return g
}

/** Whether a group is open, and all around it too. */
function isSeenOpen(state, group) {
  for (let at = group; at; at = state.groups.find(one => one.path === at.parent)) if (!state.open.has(at.path)) return false
  return true
}

/** How many titles stand above each other at the top of an open group: its own, and those of open ones inside. */
function levels(state, group) {
  const inner = state.groups.filter(one => one.parent === group.path && isSeenOpen(state, one))
  return 1 + Math.max(0, ...inner.map(one => levels(state, one)))
}

function draw(state, g, sheet) {
  const { width, height } = g.graph()
  const svg = make('svg', { width: width * state.zoom, height: height * state.zoom, viewBox: `0 0 ${width} ${height}`,
    role: 'group', 'aria-label': state.label })
  const behind = make('g', {}, svg), edges = make('g', { 'aria-hidden': 'true' }, svg), front = make('g', {}, svg)
  for (const group of state.groups.filter(one => g.hasNode(`frame:${one.path}`))) {
    const { x, y, width: wide, height: tall } = g.node(`frame:${group.path}`)
    const frame = make('g', { class: 'opened', 'data-path': group.path }, behind)
    const high = TITLE * levels(state, group), above = y - tall / 2 - high + 6
    make('rect', { class: 'frame', x: x - wide / 2, y: above, width: wide, height: tall + high - 6, rx: 8 }, frame)
    make('text', { class: 'quiet', x: x - wide / 2 + 6, y: above + 12 }, frame, short(`▾ ${group.path}`, Math.max(8, wide / 6.5)))
  }
  if (!state.isTree) for (const edge of g.edges()) {
    const points = g.edge(edge).points.map(({ x, y }) => [x.toFixed(1), y.toFixed(1)])
    make('path', { class: 'edge', d: curve(points) }, edges)
  }
  const drawn = new Map()
  for (const id of state.order) drawn.set(id, thing(state, id, g.node(id), front))
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
