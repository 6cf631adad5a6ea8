// The line that is always in view: what the plan costs, and what it should do to the metric.

// Cost left of a kind. Rows add up only roughly where groups of channels, heads and blocks meet, so the sum is moved by
// what the server's count of the same plan differed from its sum; exact again once the server has counted.
export function costLeft(model, kind, rows, sparsities) {
  let left = 0
  for (let i = 0; i < rows.length; i += 1) left += costOf(rows[i], kind, sparsities[i]) - rows[i].costs[kind][0]
  return model.denseCosts[kind] + left
}

export function showTotals(parts, state) {
  const { data, kind } = state
  const { model } = data
  const table = data.kinds.find(found => found.kind === kind)
  const texts = {}
  if (table) {
    const left = state.left(kind)
    const about = state.isExact(kind) ? '' : '≈ '
    texts.left = `${about}${shareText(left / table.dense)}`
    texts.leftOf = `${about}${amountText(table.unit, left)} of ${amountText(table.unit, table.dense)} ${table.label} left`
    texts.others = data.kinds.filter(other => other.kind !== kind)
      .map(other => `${other.label} ${state.isExact(other.kind) ? '' : '≈ '}${shareText(state.left(other.kind) / other.dense)}`)
      .join(' · ')
  }
  if (model.link) {
    const found = state.prediction
    const bounds = [found.low, found.high].sort((a, b) => a - b).map(value => metricText(model.scale, value).split(' ')[0])
    texts.metric = metricText(model.scale, found.metric)
    texts.metricInterval = `[${bounds.join(', ')}], dense ${metricText(model.scale, model.dense)}`
    texts.drop = `${dropText(model.scale, found.drop)} ${model.dropUnit}`
    texts.dropInterval = `[${dropText(model.scale, found.dropLow)}, ${dropText(model.scale, found.dropHigh)}]`
    texts.guess = found.measured ? `Measured just so, on ${found.measured.toLocaleString('en')} examples: no prediction.`
      : found.guesses.length ? `? A guess: ${found.guesses.join('; ')}.` : ''
  } else {
    texts.metric = texts.drop = '?'
    texts.metricInterval = 'sweep on the Map screen to predict'
    texts.dropInterval = texts.guess = ''
  }
  texts.cuts = String(state.nCuts())
  for (const [name, text] of Object.entries(texts)) {
    if (parts[name].textContent !== text) parts[name].textContent = text
  }
  parts.guess.hidden = !texts.guess
}
