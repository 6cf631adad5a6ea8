// The list: which rows there are, which of them are shown, and in which order.

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
  const drops = rows.map(row => row.harm && row.harm.map(harm => Math.max(0, dropOf(model, metricAt(model.alone || model.link, harm).metric))))
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
  for (const button of parts.bulk) button.disabled = !parts.filterProblem.hidden || nodes.length === 0
  parts.count.textContent = nodes.length === rows.length ? `${rows.length} rows` : `${nodes.length} of ${rows.length} rows`
  for (const button of root.querySelectorAll('[data-sort]')) {
    const by = button.dataset.sort === state.sort
    button.setAttribute('aria-pressed', String(by))
    button.dataset.direction = by ? (state.descending ? 'down' : 'up') : ''
    button.tabIndex = by ? 0 : -1                    // one stop, arrows between them
  }
  paintSoon(tuner)
}

// What is typed, or while that is no regular expression what was before: rows must not come back under a bulk edit.
function patternOf({ state, parts }) {
  let why = ''
  try {
    state.pattern = parts.filter.value ? new RegExp(parts.filter.value) : null
  } catch (error) {
    why = `\u201c${parts.filter.value}\u201d is not a regular expression (${error.message.split(': ').pop()}). The rows stay as `
      + 'they were, and Apply, Lock and Unlock wait until it is one; in front of a bracket or a dot that is meant, put \\'
  }
  parts.filter.setAttribute('aria-invalid', String(Boolean(why)))
  parts.filterProblem.textContent = why
  parts.filterProblem.hidden = !why
  return state.pattern
}

function sortValue({ state }, i) {
  const row = state.data.rows[i]
  if (state.sort === 'sparsity') return state.sparsities[i]
  if (state.sort === 'drop') return rowHarm(state, i) ?? -1
  if (state.sort === 'worth') return (state.data.worth && state.data.worth.rows[i] || [])[3] || 0
  return state.sort === 'cost' ? costOf(row, state.kind, state.sparsities[i]) : i
}

function rowHarm(state, i) {
  const row = state.data.rows[i]
  const found = [harmOf(row, state.sparsities[i])]
  for (const cut of row.patterns) if (state.isKept(cut.key)) found.push(cut.harm)
  return found.includes(null) ? null : found.reduce((a, b) => a + b, 0)
}
