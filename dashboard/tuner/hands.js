// Hands: what a drag, a key, a click or a typed number does.

const KEY_PAUSE = 400                                // ms without a key before a change by keyboard is sent

function listen(tuner) {
  const { state, parts, root } = tuner
  let byKey = false
  root.addEventListener('pointerdown', () => { byKey = false }, true)
  root.addEventListener('keydown', event => {
    byKey = true
    state.keyIsDown = true                           // one that is held repeats after a pause of its own
    if (event.key === 'Enter' && event.target.classList.contains('percent')) event.target.blur()
  }, true)
  const keyUp = () => {
    state.keyIsDown = false
    clearTimeout(state.timer)
    if (state.pending.some(edit => !edit.sent)) state.timer = setTimeout(() => send(tuner), KEY_PAUSE)
  }
  for (const name of ['keyup', 'focusout']) root.addEventListener(name, keyUp, true)
  listenToKeys(tuner)
  // a slider that comes back to where it was sends no change event, and the hand has let go of it all the same
  for (const name of ['pointerup', 'pointercancel']) root.addEventListener(name, () => setTimeout(() => letGo(tuner)))
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

function letGo(tuner) {
  const { state } = tuner
  if (state.dragged === 'goal') releaseGoal(tuner)
  else if (state.dragged !== null) change(tuner, state.dragged, state.sparsities[state.dragged])
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
