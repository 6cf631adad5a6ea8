// The tuner: holds the plan while hands are on it, and tells the server when they let go.
//
// The server's plan is taken when its revision changes. What it has not answered yet (`pending`) is put on top, and every
// message repeats all of it, because Streamlit joins messages that come at one time and keeps the last.

const KEY_PAUSE = 200                                // ms without a key before a change by keyboard is sent

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
    hidden: new Set(), dragged: null, frame: 0, ladder: null, kind: null, goal: null,
  }
  state.left = kind => costLeft(state.data.model, kind, state.data.rows, state.sparsities) + state.shift(kind)
  state.shift = kind => state.data.left[kind].left - state.data.left[kind].sum
  state.isExact = kind => !state.isMoved && state.data.left[kind].exact
  state.isKept = key => !state.gone.has(key)
  state.nCuts = () => state.sparsities.filter(sparsity => sparsity > 0).length
    + state.data.rows.flatMap(row => row.patterns).filter(cut => state.isKept(cut.key)).length
  const tuner = { state, parts, root }
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
  const { model, kinds, rows } = isNew ? JSON.parse(data.known) : before
  data = { ...data, model, kinds, rows }
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

function fillList(tuner) {
  const { state, parts } = tuner
  const { data } = state
  const falls = fallsOf(data)
  const views = new Map()
  data.rows.forEach((row, i) => {
    const view = state.views.get(row.key) || makeRow(row)
    view.i = i
    view.node.view = view
    fillRow(view, row, falls[i])
    views.set(row.key, view)
  })
  for (const [key, view] of state.views) if (!views.has(key)) view.node.remove()
  state.views = views
  fillChoices(tuner)
  arrange(tuner)
}

// What each level alone does to the metric, as part of the worst that any does.
function fallsOf({ model, rows }) {
  if (!model.link) return rows.map(() => null)
  const drops = rows.map(row => row.harm && row.harm.map(harm => Math.max(0, dropOf(model, metricAt(model.link, harm).metric))))
  const worst = Math.max(1e-12, ...drops.filter(Boolean).map(found => found[found.length - 1]))
  return drops.map(found => found && found.map(drop => drop / worst))
}

function fillChoices(tuner) {
  const { state, parts } = tuner
  const { data } = state
  const options = data.kinds.map(({ kind, label }) => new Option(`${label} left`, kind))
  if (data.model.link) options.push(new Option('tolerance: predicted drop', 'tolerance'))
  const wanted = state.goalKind
  parts.kind.replaceChildren(...options)
  state.goalKind = options.some(option => option.value === wanted) ? wanted : options[0] && options[0].value
  parts.kind.value = state.goalKind
  state.kind = data.kinds.some(found => found.kind === state.goalKind) ? state.goalKind : state.kind || data.kinds[0].kind
  parts.goal.disabled = parts.goalField.disabled = !data.model.link
  parts.metricName.textContent = data.model.scale.name
  const kinds = [...new Map(data.rows.map(row => [row.kind, row.kindText]))]
  parts.kinds.replaceChildren(...(kinds.length < 2 ? [] : kinds.map(([kind, text]) => {
    const button = element('button', 'kind', `${text} ${data.rows.filter(row => row.kind === kind).length}`)
    button.dataset.kind = kind
    button.setAttribute('aria-pressed', String(!state.hidden.has(kind)))
    return button
  })))
}

// ---- which rows are shown, in which order

function arrange(tuner) {
  const { state, parts, root } = tuner
  const { rows } = state.data
  const pattern = patternOf(tuner)
  const values = rows.map((row, i) => sortValue(tuner, i))
  state.shown = rows.map((row, i) => i).filter(i => !state.hidden.has(rows[i].kind) && (!pattern || pattern.test(rows[i].name)))
  if (state.sort !== 'order') state.shown.sort((a, b) => values[a] - values[b] || a - b)
  if (state.descending) state.shown.reverse()
  const nodes = state.shown.map(i => state.views.get(rows[i].key).node)
  tuner.seen.disconnect()
  parts.list.replaceChildren(...nodes)               // the same nodes in another order: nothing is made anew
  for (const node of nodes) tuner.seen.observe(node)
  parts.count.textContent = nodes.length === rows.length ? `${rows.length} rows` : `${nodes.length} of ${rows.length} rows`
  for (const button of root.querySelectorAll('[data-sort]')) {
    const by = button.dataset.sort === state.sort
    button.setAttribute('aria-pressed', String(by))
    button.dataset.direction = by ? (state.descending ? 'down' : 'up') : ''
  }
  paintSoon(tuner)
}

function patternOf({ parts }) {
  try {
    parts.filter.setCustomValidity('')
    return parts.filter.value ? new RegExp(parts.filter.value) : null
  } catch {
    parts.filter.setCustomValidity('not a regular expression')
    return null
  }
}

function sortValue({ state }, i) {
  const row = state.data.rows[i]
  if (state.sort === 'sparsity') return state.sparsities[i]
  if (state.sort === 'drop') return rowHarm(state, i) ?? -1
  return state.sort === 'cost' ? costOf(row, state.kind, state.sparsities[i]) : i
}

function rowHarm(state, i) {
  const row = state.data.rows[i]
  const found = [harmOf(row, state.sparsities[i])]
  for (const cut of row.patterns) if (state.isKept(cut.key)) found.push(cut.harm)
  return found.includes(null) ? null : found.reduce((a, b) => a + b, 0)
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
  state.prediction = data.model.link ? predict(data.model, data.rows, state.sparsities, state.isKept) : null
  showTotals(parts, state)
  showGoal(tuner)
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
      cost: left > 0 ? Math.max(0, costOf(row, kind, state.sparsities[i])) / left : 0,
    })
  }
}

function showGoal(tuner) {
  const { state, parts } = tuner
  const { data, goalKind } = state
  const isTolerance = goalKind === 'tolerance'
  const factor = isTolerance ? data.model.factor : 100
  const table = data.kinds.find(found => found.kind === goalKind)
  const now = state.goal !== null ? state.goal : isTolerance ? state.prediction.drop : state.left(goalKind) / table.dense
  const top = isTolerance ? data.model.worst * factor : 100
  if (Number(parts.goal.max) !== top) parts.goal.max = top
  const shown = Number((factor * now).toFixed(isTolerance ? 3 : 2))
  if (Number(parts.goal.value) !== shown) parts.goal.value = shown
  parts.goal.style.setProperty('--at', `${Math.max(0, Math.min(100, 100 * shown / top))}%`)
  parts.goal.setAttribute('aria-label', isTolerance ? `Predicted drop, ${data.model.dropUnit}` : `${table.label} left, percent`)
  if (!parts.goalField.matches(':focus')) parts.goalField.value = String(shown)
  parts.goalUnit.textContent = isTolerance ? data.model.dropUnit : '%'
  const note = !data.model.link ? 'Goals need a sweep: what a cut costs is not known yet.'
    : state.goal !== null ? '≈ while you drag; solved exactly when you let go'
      : state.pending.some(edit => edit.goal) ? '≈ solving …' : data.note
  if (parts.note.textContent !== note) parts.note.textContent = note
}

// ---- goals

// Follow a goal with the rows that may move: fraction of a cost left, or a drop in the metric's unit.
function follow(tuner, goal) {
  const { state } = tuner
  const { data, goalKind } = state
  if (!data.model.link) return
  const costKind = state.kind
  if (!state.ladder || state.ladder.kind !== costKind) {
    state.ladder = { kind: costKind, ...makeLadder(data.rows, costKind, state.holds) }
  }
  const { ladder } = state
  const start = climb(ladder, 0)
  const base = state.sparsities.map((sparsity, i) => start[i] === null ? sparsity : data.rows[i].levels[start[i]])
  const n = goalKind === 'tolerance'
    ? stepsWithin(ladder, harmWithin(data.model, goal) - predict(data.model, data.rows, base, state.isKept).harm)
    : stepsToSave(ladder, costLeft(data.model, costKind, data.rows, base) + state.shift(costKind)
      - goal * data.kinds.find(found => found.kind === costKind).dense)
  climb(ladder, n).forEach((level, i) => {
    state.sparsities[i] = level === null ? base[i] : data.rows[i].levels[level]
  })
  state.goal = goal
  state.isMoved = true
  paintSoon(tuner)
}

function releaseGoal(tuner) {
  const { state } = tuner
  if (state.goal === null) return
  const goal = { kind: state.goalKind, cost: state.kind, value: state.goal }
  const expected = Object.fromEntries(state.data.rows.map((row, i) => [row.key, state.sparsities[i]]))
  state.goal = null
  push(tuner, { goal, expected })
}

// ---- to the server

function push(tuner, edit, pause = 0) {
  const { state } = tuner
  state.number += 1
  state.pending.push({ number: state.number, ...edit })
  tuner.root.setAttribute('aria-busy', 'true')       // until the server has answered
  state.dragged = null
  clearTimeout(state.timer)
  if (pause) state.timer = setTimeout(() => send(tuner), pause)
  else send(tuner)
  if (state.late) take(tuner, state.late, state.send)
  paintSoon(tuner)
}

function send({ state }) {
  const edits = state.pending.map(({ expected, ...edit }) => edit)
  state.send('edit', { drawing: state.drawing, edits, has: state.data.catalog })
}

function change(tuner, i, sparsity, pause = 0) {
  const { state } = tuner
  const { key } = state.data.rows[i]
  state.sparsities[i] = sparsity
  state.isMoved = true
  push(tuner, { changes: { [key]: sparsity }, focus: key }, pause)
}

function hold(tuner, rows, changed) {
  const { state } = tuner
  const holds = {}
  for (const i of rows) {
    const now = state.holds[i] = { ...state.holds[i], ...changed }
    if (changed.least > now.most) now.most = now.least                       // the last word counts
    if (changed.most < now.least) now.least = now.most
    holds[state.data.rows[i].key] = [now.locked, now.least, now.most]
  }
  state.ladder = null
  push(tuner, { holds })
}

function refuse({ parts }, text) {
  parts.problem.textContent = text
  parts.problem.hidden = !text
}

function typed(tuner, field, name) {
  const fraction = typedFraction(field.value)
  refuse(tuner, fraction === null ? `${name}: ${field.value} % cannot be removed; a cut is at least 0 and less than 100 %` : '')
  return fraction
}

// ---- hands

function listen(tuner) {
  const { state, parts, root } = tuner
  let byKey = false
  root.addEventListener('pointerdown', () => { byKey = false }, true)
  root.addEventListener('keydown', event => {
    byKey = true
    if (event.key === 'Enter' && event.target.classList.contains('percent')) event.target.blur()
  }, true)
  const rowOf = target => target.closest('.row').view.i
  const pause = () => byKey ? KEY_PAUSE : 0

  parts.list.addEventListener('input', event => {
    if (!event.target.classList.contains('slider')) return
    const i = rowOf(event.target)
    state.dragged = i
    state.sparsities[i] = Math.round(event.target.value) / 100
    state.isMoved = true
    paintSoon(tuner)
  })
  parts.list.addEventListener('change', event => {
    const i = rowOf(event.target)
    const row = state.data.rows[i]
    if (event.target.type === 'checkbox') change(tuner, i, event.target.checked ? 1 : 0)
    else if (event.target.classList.contains('slider')) change(tuner, i, Math.round(event.target.value) / 100, pause())
    else {
      const fraction = typed(tuner, event.target, row.spoken)
      if (fraction === null) {
        event.target.value = percentText(state.sparsities[i])
        return
      }
      change(tuner, i, fraction)
    }
  })
  parts.list.addEventListener('click', event => {
    const button = event.target.closest('button')
    if (!button) return
    const i = rowOf(button)
    if (button.classList.contains('lock')) hold(tuner, [i], { locked: !state.holds[i].locked })
    else if (button.classList.contains('pattern')) {
      setKey(tuner, button.dataset.cut, 0)
      push(tuner, { changes: { [button.dataset.cut]: 0 } })
    } else push(tuner, { focus: state.data.rows[i].key })
  })

  parts.goal.addEventListener('input', () => {
    state.dragged = 'goal'
    follow(tuner, goalValue(tuner, Number(parts.goal.value)))
  })
  parts.goal.addEventListener('change', () => releaseGoal(tuner))
  parts.goalField.addEventListener('change', () => {
    const value = Number(parts.goalField.value.replace('%', '').replace(',', '.'))
    const isTolerance = state.goalKind === 'tolerance'
    const wrong = !Number.isFinite(value) || value < 0 || (!isTolerance && value > 100)
    refuse(tuner, wrong ? `A goal is ${isTolerance ? 'a drop of at least 0' : 'at least 0 and at most 100 %'}; got ${parts.goalField.value}` : '')
    if (!wrong) {
      follow(tuner, value / (isTolerance ? state.data.model.factor : 100))
      releaseGoal(tuner)
    }
    paintSoon(tuner)
  })
  parts.kind.addEventListener('change', () => {
    state.goalKind = parts.kind.value
    if (state.goalKind !== 'tolerance') state.kind = state.goalKind
    paintSoon(tuner)
  })

  parts.filter.addEventListener('input', () => arrange(tuner))
  parts.kinds.addEventListener('click', event => {
    const { kind } = event.target.dataset
    if (!kind) return
    if (!state.hidden.delete(kind)) state.hidden.add(kind)
    event.target.setAttribute('aria-pressed', String(!state.hidden.has(kind)))
    arrange(tuner)
  })
  root.querySelector('.head').addEventListener('click', event => {
    const by = event.target.dataset.sort
    if (!by) return
    state.descending = state.sort === by ? !state.descending : by !== 'order'   // the largest first, the network as it is
    state.sort = by
    arrange(tuner)
  })
  root.querySelector('.bulk').addEventListener('click', event => {
    const { act } = event.target.dataset
    if (act === 'lock' || act === 'unlock') hold(tuner, state.shown, { locked: act === 'lock' })
    else if (act === 'bulk') bulk(tuner)
  })
}

function goalValue({ state }, shown) {
  return state.goalKind === 'tolerance' ? shown / state.data.model.factor : Math.round(10 * shown) / 1000
}

function bulk(tuner) {
  const { state, parts } = tuner
  const what = parts.bulkWhat.value
  const text = parts.bulkField.value.trim()
  const fraction = what === 'most' && Number(text) === 100 ? 1 : typed(tuner, parts.bulkField, 'The shown rows')
  if (fraction === null) return
  const rows = state.shown.filter(i => !state.data.rows[i].whole)
  if (what !== 'set') {
    hold(tuner, rows, { [what]: fraction })
    return
  }
  const changes = {}
  for (const i of rows) {
    if (state.holds[i].locked) continue
    changes[state.data.rows[i].key] = state.sparsities[i] = fraction
  }
  state.isMoved = true
  push(tuner, { changes })
}
