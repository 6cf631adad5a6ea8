// The network: what is folded stays in the browser; what is chosen or cut is told to the server.
//
// The map and the network light each other up by one event on `window`, which both send and hear:
//
//   new CustomEvent('secateur-target', { detail: { names, target, source } })
//
// `names`: under which names what is under the pointer may be a row (`stem`, `channels of stem`, `weight stem`,
// an attention's path), empty when the pointer leaves; `target`: the first of them, or null; `source`: 'graph' or 'map',
// and nobody answers its own.

const TARGET = 'secateur-target'
const HINT = 'Point at a box, or press the arrow keys: Enter unfolds or chooses, Escape folds, C cuts.'

const loadDagre = url => window.__secateurDagre || (window.__secateurDagre = new Promise((done, fail) => {
  const script = document.createElement('script')
  script.src = url                             // relative: works below any base path
  script.onload = () => done(window.dagre)
  script.onerror = () => { window.__secateurDagre = null; fail(new Error(url)) }
  document.head.appendChild(script)
}))

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector('.network')
  const network = root.secateur || (root.secateur = makeNetwork(root))
  network.send = setTriggerValue
  network.take(data)
  return () => { if (!root.isConnected) window.removeEventListener(TARGET, network.hear) }
}

function makeNetwork(root) {
  const parts = Object.fromEntries([...root.querySelectorAll('[data-part]')].map(part => [part.dataset.part, part]))
  const state = { boxes: [], groups: [], values: new Map(), open: new Set(), order: [], zoom: 1, said: '', kept: '' }
  const network = { root, parts, state, drawn: new Map(), send: null }
  network.take = data => take(network, data)
  network.hear = event => { if (event.detail.source !== 'graph') light(network, event.detail.names) }
  window.addEventListener(TARGET, network.hear)
  listen(network)
  return network
}

function take(network, data) {
  const { state, parts } = network
  const said = JSON.stringify(data)
  if (said === state.said) return
  state.said = said
  const kept = JSON.stringify([data.boxes.map(box => box.id), data.groups.map(group => group.path)])
  if (kept !== state.kept) { state.open = new Set(data.open); state.kept = kept }   // another model
  Object.assign(state, { boxes: data.boxes, groups: data.groups, label: data.label, isTree: data.isTree, chosen: data.chosen, script: data.script })
  state.values = new Map([...data.boxes, ...data.groups].map(value => [value.id, value]))
  parts.note.textContent = data.note
  network.root.setAttribute('aria-label', data.label)
  redraw(network)
}

function redraw(network, focus) {
  const { state, parts } = network
  const things = seen(state.boxes, state.groups, state.open)
  state.order = [...things.keys()]
  loadDagre(state.script).then(dagre => {
    network.drawn = draw(state, laidOut(dagre, state, things), parts.sheet)
    for (const [id, node] of network.drawn) node.classList.toggle('chosen', isNamed(state.values.get(id), state.chosen))
    const at = network.drawn.has(focus) ? focus : state.order[0]
    if (at) network.drawn.get(at).setAttribute('tabindex', 0)
    if (focus && at) network.drawn.get(at).focus()
  }).catch(error => { parts.sheet.textContent = `The network could not be drawn (${error.message}). Reload the page.` })
}

const isNamed = (value, names) => names.some(name => value.names.includes(name))

/** Mark what is under one of these names; a folded block stands for what is inside. */
function light(network, names) {
  for (const [id, node] of network.drawn) node.classList.toggle('lit', isNamed(network.state.values.get(id), names))
}

function tell(network, id) {
  const value = id ? network.state.values.get(id) : null
  network.parts.read.textContent = value ? value.tip.join('  |  ') : HINT
  light(network, value ? value.names.slice(0, 400) : [])
  const names = value ? value.names : []
  window.dispatchEvent(new CustomEvent(TARGET, { detail: { names, target: names[0] ?? null, source: 'graph' } }))
}

function setOpen(network, path, isOpen) {
  const { state } = network
  if (isOpen) state.open.add(path)
  else for (const group of state.groups) if (group.path === path || group.path.startsWith(path + '.')) state.open.delete(group.path)
  const first = state.groups.find(group => group.path === path)
  redraw(network, isOpen ? standing(state.boxes, state.groups, state.open).get(first.boxes[0]) : `group:${path}`)
}

function act(network, id, what) {
  const value = network.state.values.get(id)
  if (what === 'choose' && id.startsWith('group:')) setOpen(network, value.path, true)
  else if (value.names.length && !id.startsWith('group:')) network.send('hit', { box: id, act: what })
}

function listen(network) {
  const { parts, state } = network
  const { sheet } = parts
  const idOf = event => event.target.closest?.('.thing')?.dataset.id
  sheet.addEventListener('pointerover', event => tell(network, idOf(event)))
  sheet.addEventListener('pointerleave', () => tell(network, null))
  sheet.addEventListener('focusin', event => tell(network, idOf(event)))
  sheet.addEventListener('click', event => {
    const opened = event.target.closest('.opened')
    if (opened) setOpen(network, opened.dataset.path, false)
    else if (idOf(event)) act(network, idOf(event), 'choose')
  })
  sheet.addEventListener('keydown', event => press(network, event, idOf(event)))
  parts.unfold.addEventListener('click', () => { state.open = new Set(state.groups.map(group => group.path)); redraw(network) })
  parts.fold.addEventListener('click', () => { state.open = new Set(); redraw(network) })
  parts.smaller.addEventListener('click', () => zoom(network, 0.8))
  parts.larger.addEventListener('click', () => zoom(network, 1.25))
}

function zoom(network, by) {
  network.state.zoom = Math.min(2, Math.max(0.2, network.state.zoom * by))
  redraw(network)
}

// one tab stop: arrows move in the order in which things run, Enter unfolds or chooses, Escape folds, C cuts
function press(network, event, id) {
  if (!id || event.ctrlKey || event.metaKey || event.altKey) return
  const { order, values } = network.state
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -order.length, End: order.length }[event.key]
  if (step !== undefined) {
    const next = order[Math.min(order.length - 1, Math.max(0, order.indexOf(id) + step))]
    network.drawn.get(id).setAttribute('tabindex', -1)
    network.drawn.get(next).setAttribute('tabindex', 0)
    network.drawn.get(next).focus()
  } else if (event.key === 'Enter' || event.key === ' ') act(network, id, 'choose')
  else if (event.key === 'c' || event.key === 'C') act(network, id, 'cut')
  else if (event.key === 'Escape') {
    const path = id.startsWith('group:') ? values.get(id).parent : values.get(id).group
    if (!path) return
    setOpen(network, path, false)
  } else return
  event.preventDefault()
}
