// The map and the network light each other up: by the event `secateur-target` on `window`, as dashboard/graph/graph.js
// tells it. A row here is named as the network names what lies in a box; a folded group stands for all its rows.

const TARGET = 'secateur-target'

function namesOf(map, item) {
  const rows = item.row === undefined ? map.known.groups[item.group].rows : [item.row]
  return rows.map(row => map.known.rows[row].name)
}

function tellTarget(map, found) {
  const item = found && map.shown[found.item]
  const names = item ? namesOf(map, item) : []
  window.dispatchEvent(new CustomEvent(TARGET, { detail: { names, target: names[0] ?? null, source: 'map' } }))
}

function hearTarget(map) {
  map.lit = new Set()
  window.addEventListener(TARGET, event => {
    if (event.detail.source === 'map' || !map.known) return
    map.lit = new Set(event.detail.names)
    paintSoon(map)
  })
}

const isLit = (map, item) => map.lit.size > 0 && namesOf(map, item).some(name => map.lit.has(name))
