// What a plan should cost: the formula of core/plans/prediction.py, again. Pure functions of plain values;
// tests/browser/test_tuner_formula.py feeds both the same numbers.

// The line through points, with the slopes of its ends beyond them; xs ascend, at least two.
export function onLine(xs, ys, x) {
  let low = 0
  let high = xs.length
  while (low < high) {                              // first position whose x lies above
    const middle = (low + high) >> 1
    if (x < xs[middle]) high = middle
    else low = middle + 1
  }
  const i = Math.min(Math.max(low, 1), xs.length - 1)
  return ys[i - 1] + (ys[i] - ys[i - 1]) * ((x - xs[i - 1]) / (xs[i] - xs[i - 1]))
}

// Harm of one row at a sparsity; null where nothing was measured of it.
export function harmOf(row, sparsity) {
  if (sparsity === 0) return 0
  return row.harm === null ? null : onLine(row.levels, row.harm, sparsity)
}

// What a row leaves of one kind of cost.
export function costOf(row, kind, sparsity) {
  return onLine(row.levels, row.costs[kind], sparsity)
}

export function isBeyond(row, sparsity) {
  return row.harm !== null && sparsity > row.levels[row.levels.length - 1] + 1e-9
}

export function metricAt(link, harm) {
  const at = Math.min(Math.max(harm, link.harm[0]), link.harm[link.harm.length - 1])
  return {
    metric: onLine(link.harm, link.metric, at),
    low: onLine(link.harm, link.low, at),
    high: onLine(link.harm, link.high, at),
  }
}

export function dropOf(model, metric) {
  return model.higherIsBetter ? model.dense - metric : metric - model.dense
}

const named = names => names.length === 1 ? names[0] : `${names[0]} and ${names.length - 1} more`

// How much the link of each family counts, and under "alone" what a cut does alone: shares_of of the Python side.
export function sharesOf(harms, isAlone) {
  const shares = new Map([['alone', 0]])
  if (!harms.length) return isAlone ? new Map([['alone', 1]]) : new Map([['weights', 1]])
  let total = harms.reduce((sum, [, harm]) => sum + harm, 0)
  let known = harms
  if (total <= 0) {
    known = harms.map(([family]) => [family, 1])
    total = harms.length
  }
  const one = isAlone ? known.reduce((sum, [, harm]) => sum + (harm / total) ** 2, 0) : 0
  shares.set('alone', one)
  for (const [family, harm] of known) shares.set(family, (shares.get(family) || 0) + (1 - one) * harm / total)
  return shares
}

// What was measured of just this plan, and what was predicted of it before; null if nobody measured it. No prediction.
export function measuredOf(model, rows, sparsities, isKept = () => true) {
  if (!model.known) return null
  const cut = {}
  rows.forEach((row, i) => {
    if (sparsities[i] > 0) cut[row.key] = sparsities[i]
    for (const pattern of row.patterns) if (isKept(pattern.key)) cut[pattern.key] = 1
  })
  const keys = Object.keys(cut)
  const isSame = (one, other) => Math.abs(one - other) < 1e-9
  const single = keys.length === 1 && (model.known.single[keys[0]] || []).find(([sparsity]) => isSame(sparsity, cut[keys[0]]))
  const plan = single ? { told: single[1] } : keys.length && model.known.plans.find(({ cuts }) =>
    Object.keys(cuts).length === keys.length && keys.every(key => key in cuts && isSame(cuts[key], cut[key])))
  if (!plan) return null
  const [metric, low, high, drop, dropLow, dropHigh, measured, before] = plan.told
  return { harm: 0, metric, low, high, drop, dropLow, dropHigh, guesses: [], measured, before: before || null }
}

// A predicted drop beside the dense metric that everything stands beside: on_dense of the Python side.
export function onDense(model, found) {
  const { low: least, high: most } = model.scale
  const sign = model.higherIsBetter ? -1 : 1
  const at = drop => Math.min(Math.max(model.basis.value + sign * drop, least ?? -Infinity), most ?? Infinity)
  const ends = [at(found.dropLow), at(found.dropHigh)]
  return { metric: at(found.drop), low: Math.min(...ends), high: Math.max(...ends) }
}

// What a plan should cost: sparsities beside rows; patterns that are still in the plan count as they are.
export function predict(model, rows, sparsities, isKept = () => true) {
  const isCut = (row, i) => sparsities[i] > 0 || row.patterns.some(cut => isKept(cut.key))
  if (!rows.some(isCut)) {  // no cut is the dense model, bit for bit
    const { dense } = model
    return { harm: 0, metric: dense, low: dense, high: dense, drop: 0, dropLow: 0, dropHigh: 0, guesses: [], measured: null }
  }
  const harms = []
  const unknown = []
  const beyond = []
  rows.forEach((row, i) => {
    const found = harmOf(row, sparsities[i])
    if (found === null) unknown.push(row.name)
    else if (sparsities[i] > 0) harms.push([row.family || 'weights', found])
    if (isBeyond(row, sparsities[i])) beyond.push(row.name)
    for (const cut of row.patterns) {
      if (!isKept(cut.key)) continue
      if (cut.harm === null) unknown.push(row.name)
      else harms.push(['patterns', cut.harm])
    }
  })
  const harm = harms.reduce((sum, [, one]) => sum + one, 0)
  const told = measuredOf(model, rows, sparsities, isKept)
  if (told) return { ...told, harm }
  const guesses = []
  if (unknown.length) guesses.push(`nothing was measured of ${named(unknown)} cut in this way`)
  if (beyond.length) guesses.push(`${named(beyond)} was not measured at so high a sparsity`)
  if (harm > model.link.harm[model.link.harm.length - 1])
    guesses.push('no plan and no cut that does so much harm was measured')
  const sums = { metric: 0, low: 0, high: 0 }
  for (const [family, weight] of sharesOf(harms, Boolean(model.alone))) {
    const link = (family === 'alone' ? model.alone : (model.links || {})[family]) || model.link
    const found = metricAt(link, harm)
    for (const name of Object.keys(sums)) sums[name] += weight * found[name]
  }
  const { metric, low, high } = sums
  const [dropLow, dropHigh] = [dropOf(model, low), dropOf(model, high)].sort((a, b) => a - b)
  return { harm, metric, low, high, drop: dropOf(model, metric), dropLow, dropHigh, guesses, measured: null }
}

// The harm at which the drop that nine of ten plans stay within reaches a tolerance: the largest that stays within it.
export function harmWithin(model, tolerance) {
  const { harm } = model.link
  const bounds = model.link.bound && model.link.bound.length ? model.link.bound : model.link.metric
  const drops = bounds.map(metric => dropOf(model, metric))
  if (drops[drops.length - 1] <= tolerance) return harm[harm.length - 1]
  let i = drops.length - 1
  while (i > 0 && drops[i - 1] > tolerance) i -= 1
  if (i === 0) return 0
  return harm[i - 1] + (harm[i] - harm[i - 1]) * ((tolerance - drops[i - 1]) / (drops[i] - drops[i - 1]))
}
