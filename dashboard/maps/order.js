// Which rows are shown, in which order: pure functions of what is known and how the person wants it.

export const SORTS = [['network', 'network order'], ['drop', 'drop'], ['limit', 'limit'], ['size', 'size'], ['ms', 'milliseconds']]

// Sorts that this map has values for.
export function sortsOf(known, limits) {
  const has = {
    network: true, drop: known.cells.some(cell => cell.drop !== null), limit: Object.keys(limits).length > 0,
    size: true, ms: known.rows.some(row => row.seconds !== null),
  }
  return SORTS.filter(([name]) => has[name])
}

// What a row is sorted by, null where nothing is known; rows with little to lose come first.
export function sortValue(known, limits, how, i) {
  const row = known.rows[i]
  if (how.sort === 'drop') {
    const cell = known.at(i, how.column)
    return cell && cell.drop !== null ? -cell.drop : null
  }
  if (how.sort === 'limit') return (limits[known.kinds[how.column]] || [])[i] ?? null
  return how.sort === 'size' ? -row.size : row.seconds === null ? null : -row.seconds
}

// Rows and headings of modules from top to bottom: { row } or { group, open }.
export function shownRows(known, limits, how) {
  if (how.sort === 'network' && how.grouped && known.groups.length) return byModule(known, how)
  const rows = known.rows.map((_, row) => row)
  if (how.sort !== 'network') {
    const values = rows.map(row => sortValue(known, limits, how, row))
    const sign = how.turned ? -1 : 1
    rows.sort((a, b) => {
      if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b
      return sign * (values[a] - values[b]) || a - b
    })
  } else if (how.turned) rows.reverse()
  return rows.map(row => ({ row }))
}

function byModule(known, how) {
  const inside = new Map()                            // position of a group, or null: what lies right in it
  const put = (parent, first, item) => inside.set(parent, [...(inside.get(parent) || []), [first, item]])
  const loose = new Map()
  known.groups.forEach((group, i) => put(group.parent, group.rows[0], { group: i }))
  known.rows.forEach((row, i) => loose.set(row.group, [...(loose.get(row.group) || []), [i, { row: i }]]))
  const found = []
  const add = parent => {
    const items = [...(inside.get(parent) || []), ...(loose.get(parent) || [])].sort((a, b) => a[0] - b[0])
    if (how.turned) items.reverse()
    for (const [, item] of items) {
      if (item.group === undefined) { found.push(item); continue }
      const open = !how.folded.has(known.groups[item.group].path)
      found.push({ group: item.group, open })
      if (open) add(item.group)
    }
  }
  add(null)
  return found
}

// Of a folded module the cell of a column that costs most of those that were measured; null if none was.
export function worstOf(known, group, column) {
  let worst = null
  for (const row of known.groups[group].rows) {
    const cell = known.at(row, column)
    if (cell && cell.drop !== null && (worst === null || cell.drop > worst.drop)) worst = cell
  }
  return worst
}
