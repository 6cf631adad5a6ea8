// The line that is always in view: what the plan costs, and what it should do to the metric.

// Cost left of a kind. Rows add up only roughly where groups of channels, heads and blocks meet, so the sum is moved by
// what the server's count of the same plan differed from its sum; exact again once the server has counted.
// Of memory the most that is held at any moment counts, which is no sum: it is counted anew.
export function costLeft(model, kind, rows, sparsities) {
  if (kind === 'memory' && model.memory) return peakOf(model.memory, rows, sparsities)
  let left = 0
  for (let i = 0; i < rows.length; i += 1) left += costOf(rows[i], kind, sparsities[i]) - rows[i].costs[kind][0]
  return model.denseCosts[kind] + left
}

export function showTotals(parts, state) {
  const { data, kind } = state
  const { model } = data
  const table = data.kinds.find(found => found.kind === kind)
  const texts = { leftNote: '' }
  const zeros = data.rows.some((row, i) => (row.kind === 'weight' && state.sparsities[i] > 0)
    || row.patterns.some(cut => state.isKept(cut.key)))
  if (table) {
    const left = state.left(kind)
    const about = state.isExact(kind) ? '' : '≈ '
    texts.left = `${about}${shareText(left / table.dense)}`
    texts.leftOf = `${about}${amountText(table.unit, left)} of ${amountText(table.unit, table.dense)} ${table.label} left`
    if (kind === 'flops' && zeros) texts.leftNote = 'zeros count here, and save nothing in engines for dense matrices'
    texts.others = data.kinds.filter(other => other.kind !== kind)
      .map(other => `${other.label}${other.kind === 'flops' && zeros ? ', counting zeros,' : ''} ${state.isExact(other.kind) ? '' : '≈ '}${shareText(state.left(other.kind) / other.dense)}`)
      .map(text => text.replace(/ (?=[\d%])/g, UNBROKEN)) // a line may end between figures, not within one
      .join(' · ')
  }
  texts.cuts = String(state.nCuts())
  const told = toldTexts(model, state.prediction, state.nCuts())
  Object.assign(texts, told.texts)
  for (const total of [parts.metricTotal, parts.dropTotal]) {
    total.classList.toggle('predicted', told.how === 'predicted')
    total.classList.toggle('measured', told.how === 'measured')
  }
  for (const [name, text] of Object.entries(texts)) {
    if (parts[name].textContent !== text) parts[name].textContent = text
  }
  parts.guess.hidden = !texts.guess
}
