// The goal: where the plan stands, and a hand on it that moves every free row.

const EVEN = ['channel', 'head', 'kv_group']         // of zeros and of whole blocks no layer is even

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
  if (!parts.goalField.matches(':focus')) parts.goalField.value = String(askedOf(state) === null ? shown : Number((factor * askedOf(state)).toPrecision(10)))
  parts.goalUnit.textContent = isTolerance ? data.model.dropUnit : '%'
  const moved = data.moving[state.kind] || []
  parts.evenLabel.hidden = !data.rows.some(row => EVEN.includes(row.kind) && moved.includes(row.kind))
  const note = !data.model.link ? 'Goals need a sweep: what a cut costs is not known yet.'
    : state.goal !== null ? '≈ while you drag; solved exactly when you let go'
      : state.pending.some(edit => edit.goal) ? '≈ solving …' : data.note
  if (parts.note.textContent !== note) parts.note.textContent = note
}

// The goal as it was asked, while the plan is the one that was made for it; null otherwise.
function askedOf({ data, goal, goalKind, pending, isMoved }) {
  if (goal !== null) return null
  const waiting = pending.map(edit => edit.goal).filter(Boolean).pop()
  const asked = waiting || (isMoved ? null : data.asked)
  return asked && asked.kind === goalKind ? asked.value : null
}

// Follow a goal with the rows that may move: fraction of a cost left, or a drop in the metric's unit.
function follow(tuner, goal) {
  const { state } = tuner
  const { data, goalKind } = state
  if (!data.model.link) return
  const costKind = state.kind
  if (!state.ladder || state.ladder.kind !== costKind) {
    state.ladder = { kind: costKind, ...makeLadder(data.rows, costKind, state.holds, data.moving[costKind] || []) }
  }
  const { ladder } = state
  const start = climb(ladder, 0)
  const base = state.sparsities.map((sparsity, i) => start[i] === null ? sparsity : data.rows[i].levels[start[i]])
  const n = goalKind === 'tolerance'
    ? stepsWithin(ladder, harmWithin(data.model, goal) - predict(data.model, data.rows, base, state.isKept).harm)
    : costKind === 'memory' && data.model.memory ? stepsToHold(tuner, base, goal)
      : stepsToSave(ladder, costLeft(data.model, costKind, data.rows, base) + state.shift(costKind)
        - goal * data.kinds.find(found => found.kind === costKind).dense)
  climb(ladder, n).forEach((level, i) => {
    state.sparsities[i] = level === null ? base[i] : data.rows[i].levels[level]
  })
  state.goal = goal
  state.isMoved = true
  paintSoon(tuner)
}

// Memory is a maximum over moments: the fewest steps of the ladder after which none holds more.
function stepsToHold(tuner, base, goal) {
  const { data, ladder, shift } = tuner.state
  const most = goal * data.kinds.find(found => found.kind === 'memory').dense - shift('memory')
  const holds = n => peakOf(data.model.memory, data.rows,
    climb(ladder, n).map((level, i) => level === null ? base[i] : data.rows[i].levels[level])) <= most
  let low = 0
  let high = ladder.steps.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

function releaseGoal(tuner) {
  const { state, parts } = tuner
  state.dragged = null
  if (state.goal === null) return
  const goal = { kind: state.goalKind, cost: state.kind, value: state.goal, even: parts.even.checked && !parts.evenLabel.hidden }
  const expected = Object.fromEntries(state.data.rows.map((row, i) => [row.key, state.sparsities[i]]))
  state.goal = null
  push(tuner, { goal, expected })
}

function goalValue({ state }, shown) {
  return state.goalKind === 'tolerance' ? shown / state.data.model.factor : Math.round(10 * shown) / 1000
}
