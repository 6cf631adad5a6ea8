// A plan for a goal while the hand still moves: the relaxation of the multiple-choice knapsack, its integral part.
// Along the lower convex hull of a row's (cost, harm) each step saves cost for more harm; the steps of all rows, sorted by
// harm per cost saved, are taken from the cheapest on (Sinha & Zoltners 1979; Zemel 1984). The server solves exactly.

// Positions of the levels that a goal may choose for a row; none where it is locked or was not measured.
export function choicesOf(row, hold) {
  if (hold.locked || row.harm === null) return []
  if (row.spared) return [0]
  return [...row.levels.keys()].filter(i => row.levels[i] >= hold.least - 1e-9 && row.levels[i] <= hold.most + 1e-9)
}

// Lower hull of one row's levels, from the least harm to the least cost: [{ level, cost, harm }].
export function hull(row, kind, choices) {
  const points = choices
    .map(level => ({ level, cost: row.costs[kind][level], harm: row.harm[level] }))
    .sort((a, b) => a.harm - b.harm || a.cost - b.cost)
  const kept = []
  for (const point of points) {
    if (kept.length && point.cost >= kept[kept.length - 1].cost) continue     // no cheaper: never worth its harm
    while (kept.length > 1 && slope(kept[kept.length - 1], point) <= slope(kept[kept.length - 2], kept[kept.length - 1]))
      kept.pop()
    kept.push(point)
  }
  return kept
}

const slope = (a, b) => (b.harm - a.harm) / (a.cost - b.cost)               // harm for each unit of cost saved

// Everything that a moving goal needs, made once for a kind of cost and a set of locks.
// `moving`: kinds of rows that this cost is made of.
export function makeLadder(rows, kind, holds, moving) {
  const start = []
  const steps = []
  rows.forEach((row, i) => {
    const points = moving.includes(row.kind) ? hull(row, kind, choicesOf(row, holds[i])) : []
    start.push(points.length ? points[0].level : null)
    for (let k = 1; k < points.length; k += 1)
      steps.push({ row: i, level: points[k].level, saved: points[k - 1].cost - points[k].cost,
        harm: points[k].harm - points[k - 1].harm, slope: slope(points[k - 1], points[k]) })
  })
  steps.sort((a, b) => a.slope - b.slope || a.row - b.row)                  // of one row they are in order already
  let saved = 0
  let harm = 0
  for (const step of steps) {
    step.savedSoFar = saved += step.saved
    step.harmSoFar = harm += step.harm
  }
  return { start, steps }
}

// Level of each row (null: leave it) after the first n steps.
export function climb(ladder, n) {
  const levels = ladder.start.slice()
  for (let k = 0; k < n; k += 1) levels[ladder.steps[k].row] = ladder.steps[k].level
  return levels
}

// How many steps save at least so much.
export function stepsToSave(ladder, saving) {
  if (saving <= 0) return 0
  const last = firstWhere(ladder.steps, step => step.savedSoFar >= saving * (1 - 1e-9))
  return Math.min(last + 1, ladder.steps.length)
}

// How many steps do at most so much harm.
export function stepsWithin(ladder, harm) {
  return firstWhere(ladder.steps, step => step.harmSoFar > harm + 1e-12)
}

// Position of the first step that a condition holds of; once it holds it does for all that follow.
function firstWhere(steps, holds) {
  let low = 0
  let high = steps.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(steps[middle])) high = middle
    else low = middle + 1
  }
  return low
}
