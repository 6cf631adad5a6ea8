// What a forward pass of the smaller model holds at once: core/plans/costs/memory.py, again, at all moments of the pass.

const halfEven = value => {
  const below = Math.floor(value)
  const rest = value - below
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below
}

// Channels that a sparsity takes of a group of n, where a multiple of `step` stays; 0 where that cannot be.
export function channelsGone(n, step, sparsity) {
  const kept = n - halfEven(sparsity * n)
  return n < step || kept === 0 ? 0 : Math.max(0, n - Math.ceil(kept / step) * step)
}

// Units of every name that the rows take, and of which it is known what that frees.
export function unitsGone(memory, rows, sparsities) {
  const skipped = rows.filter((row, i) => row.kind === 'block' && sparsities[i] > 0).map(row => `${row.name}.`)
  const gone = {}
  const heads = {}
  rows.forEach((row, i) => {
    const unit = memory.units[i]
    if (!unit || !(sparsities[i] > 0) || skipped.some(name => row.name.startsWith(name))) return
    if (unit.layer === undefined) gone[unit.name] = channelsGone(unit.n, unit.step, sparsities[i])
    else for (const head of unit.heads) (heads[unit.layer] ||= new Set()).add(head)
  })
  for (const [layer, taken] of Object.entries(heads)) {
    const [n, nKeys, keysName, queriesName] = memory.attentions[layer]
    const each = n / nKeys
    let keys = 0
    for (let key = 0; key < nKeys; key += 1)
      if ([...Array(each).keys()].every(i => taken.has(key * each + i))) keys += 1
    const alone = taken.size - keys * each
    gone[keysName] = keys                            // a key/value head goes with the last query head that it serves
    if (!(keys && alone)) gone[queriesName] = Math.floor(alone * each / n)
  }
  return Object.fromEntries(Object.entries(gone).filter(([name, count]) => count && memory.understood.includes(name)))
}

// Bytes at the moment that holds most.
export function peakOf(memory, rows, sparsities) {
  const units = { ...unitsGone(memory, rows, sparsities), ...memory.start }
  const change = []
  for (const [born, dies, size, factors] of memory.held) {
    let bytes = size
    for (const [of, by] of factors) bytes *= by.reduce((left, [name, each]) => left - each * (units[name] || 0), of)
    change[born] = (change[born] || 0) + bytes
    change[dies] = (change[dies] || 0) - bytes
  }
  let now = 0
  let most = -Infinity
  for (let i = 0; i < change.length - 1; i += 1) {
    now += change[i] || 0
    if (now > most) most = now
  }
  return halfEven(most)
}
