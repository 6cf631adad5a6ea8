// The tuner: holds the plan while hands are on it, and tells the server when they let go.
//
// The server's plan is taken when its revision changes. What it has not answered yet (`pending`) is put on top, and every
// message repeats all of it, because Streamlit joins messages that come at one time and keeps the last.

export default function (component) {
  const root = component.parentElement.querySelector('.tuner')
  const tuner = root.secateur || (root.secateur = makeTuner(root))
  tuner.take(component.data, component.setStateValue)
  return () => {}
}

function makeTuner(root) {
  const parts = Object.fromEntries([...root.querySelectorAll('[data-part]')].map(part => [part.dataset.part, part]))
  const state = {
    drawing: Math.random().toString(36).slice(2), number: 0, pending: [], send: null, data: null, late: null,
    views: new Map(), shown: [], sparsities: [], holds: [], gone: new Set(), sort: 'order', descending: false,
    hidden: new Set(), dragged: null, frame: 0, ladder: null, kind: null, goal: null, keyIsDown: false, pattern: null,
  }
  state.left = kind => costLeft(state.data.model, kind, state.data.rows, state.sparsities) + state.shift(kind)
  state.shift = kind => state.data.left[kind].left - state.data.left[kind].sum
  state.isExact = kind => !state.isMoved && state.data.left[kind].exact
  state.isKept = key => !state.gone.has(key)
  state.nCuts = () => state.sparsities.filter(sparsity => sparsity > 0).length
    + state.data.rows.flatMap(row => row.patterns).filter(cut => state.isKept(cut.key)).length
  const tuner = { state, parts, root }
  parts.bulk = [...root.querySelectorAll('.bulk button')]
  const seen = new IntersectionObserver(entries => {
    for (const entry of entries) entry.target.view.inSight = entry.isIntersecting
    paintSoon(tuner)
  }, { root: parts.list, rootMargin: '80px' })
  tuner.seen = seen
  tuner.take = (data, send) => take(tuner, data, send)
  listen(tuner)
  return tuner
}

// ---- from the server

function take(tuner, data, send) {
  const { state } = tuner
  state.send = send
  if (state.dragged !== null) {                      // not under the hand: the release takes it
    state.late = data
    return
  }
  const before = state.data
  const isNew = !before || before.catalog !== data.catalog
  if (isNew && !data.known) {                        // the server thinks that this drawing has it
    send('edit', { drawing: state.drawing, edits: [], has: '' })
    return
  }
  const { model, kinds, rows, moving } = isNew ? JSON.parse(data.known) : before
  data = { ...data, model, kinds, rows, moving }
  state.data = data
  state.late = null
  if (data.answered.drawing === state.drawing)
    state.pending = state.pending.filter(edit => edit.number > data.answered.number)
  if (isNew) fillList(tuner)
  if (isNew || before.revision !== data.revision || before.answered.number !== data.answered.number) {
    state.sparsities = data.plan.sparsities.slice()
    state.holds = data.plan.holds.map(([locked, least, most]) => ({ locked, least, most }))
    state.gone = new Set()
    state.isMoved = false
    for (const edit of state.pending) replay(tuner, edit)
    state.ladder = null
  }
  tuner.root.setAttribute('aria-busy', String(state.pending.length > 0))
  paintSoon(tuner)
}

function replay(tuner, edit) {
  const { state } = tuner
  for (const [key, sparsity] of Object.entries({ ...edit.changes, ...edit.expected })) setKey(tuner, key, sparsity)
  for (const [key, [locked, least, most]] of Object.entries(edit.holds || {})) {
    const view = state.views.get(key)
    if (view) state.holds[view.i] = { locked, least, most }
  }
}

function setKey(tuner, key, sparsity) {
  const { state } = tuner
  const view = state.views.get(key)
  if (view) state.sparsities[view.i] = sparsity
  else state.gone.add(key)
  state.isMoved = true
}

// ---- what is drawn

function paintSoon(tuner) {
  const { state } = tuner
  if (!state.frame) state.frame = requestAnimationFrame(() => {
    state.frame = 0
    paint(tuner)
  })
}

function paint(tuner) {
  const { state, parts } = tuner
  const { data, kind } = state
  state.prediction = data.model.link ? predict(data.model, data.rows, state.sparsities, state.isKept)
    : measuredOf(data.model, data.rows, state.sparsities, state.isKept)
  showTotals(parts, state)
  showGoal(tuner)
  showWorthHead(tuner)
  const left = state.left(kind)
  for (const i of state.shown) {
    const view = state.views.get(data.rows[i].key)
    if (!view.inSight) continue
    const row = data.rows[i]
    const harm = rowHarm(state, i)
    const total = state.prediction ? state.prediction.harm : 0
    showRow(view, row, {
      sparsity: state.sparsities[i], hold: state.holds[i], isKept: state.isKept,
      drop: harm === null ? null : total > 0 ? harm / total : 0,
      worth: data.worth ? data.worth.rows[i] : null,
      cost: left > 0 ? Math.max(0, costOf(row, kind, state.sparsities[i])) / left : 0,
    })
  }
}

// The map inside the plan is of one plan: once that has changed, what stands in the column is of the former one.
function showWorthHead({ state, parts, root }) {
  const { worth, plan } = state.data
  root.classList.toggle('has-worth', Boolean(worth))
  if (!worth) return
  const isOf = worth.exact && state.gone.size === 0 && state.sparsities.every((s, i) => s === plan.sparsities[i])
  root.classList.toggle('stale', !isOf)
  const text = isOf ? 'inside the plan' : 'inside another plan'
  if (parts.worthHead.textContent === text) return
  parts.worthHead.textContent = text
  const what = `What giving back the row gains (${worth.unit}), and what comes back of the ${worth.cost}, with all else as in the plan`
  parts.worthHead.title = isOf ? `${what}. A \u00b7 where the 95 % interval holds 0.`
    : `${what}: of the plan that was measured last, and this one differs. Measure its rows, below, to know.`
}

// ---- to the server

// `pause`: in ms, of a change by keys. Until it is over, or a key is let go and then it is, keys on one row make one edit:
// one gesture, one step to undo.
function push(tuner, edit, pause = 0) {
  const { state } = tuner
  const last = state.pending[state.pending.length - 1]
  if (pause && last && last.byKeys && !last.sent && last.focus === edit.focus) Object.assign(last.changes, edit.changes)
  else {
    state.number += 1
    state.pending.push({ number: state.number, byKeys: pause > 0, ...edit })
  }
  tuner.root.setAttribute('aria-busy', 'true')       // until the server has answered
  state.dragged = null
  clearTimeout(state.timer)
  if (!pause) send(tuner)
  else if (!state.keyIsDown) state.timer = setTimeout(() => send(tuner), pause)
  if (state.late) take(tuner, state.late, state.send)
  paintSoon(tuner)
}

function send({ state }) {
  clearTimeout(state.timer)
  for (const edit of state.pending) edit.sent = true
  const edits = state.pending.map(({ expected, byKeys, sent, ...edit }) => edit)
  state.send('edit', { drawing: state.drawing, edits, has: state.data.catalog })
}
