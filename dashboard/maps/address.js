// How rows are shown, as an address says it: `drop~50~turned`, `network~fit~fold~stage.0~stage.1`; nothing says the
// usual. Pure functions; Python puts the text into the address and takes it from there.

// Name of a column, without its percent sign; with its kind where there are several.
function columnText(known, i) {
  const many = new Set(known.kinds.filter(Boolean)).size > 1
  return `${many ? `${known.kinds[i]} ` : ''}${known.columns[i]}`.replace(/ %$/, '')
}

export function howText(known, how) {
  const isBy = how.sort === 'drop' || how.sort === 'limit'
  const words = [how.sort, ...(isBy ? [columnText(known, how.column)] : [])]
  if (how.turned) words.push('turned')
  if (!how.grouped) words.push('flat')
  if (how.fit) words.push('fit')
  const paths = known.groups.map(group => group.path), folded = paths.filter(path => how.folded.has(path))
  const open = paths.filter(path => !how.folded.has(path))
  if (folded.length && open.length < folded.length) words.push('folded', ...(open.length ? ['but', ...open] : []))
  else if (folded.length) words.push('fold', ...folded)
  return words.length === 1 && words[0] === 'network' ? '' : words.join('~')
}

// What a text asks for, on top of the usual; `unknown` are the words of it that this map has not, which are passed over.
export function howNamed(known, sorts, usual, text) {
  const how = { ...usual, folded: new Set() }, unknown = []
  const [sort, ...words] = text ? text.split('~') : ['network']
  if (sorts.some(([name]) => name === sort)) how.sort = sort
  else unknown.push(sort)
  if (sort === 'drop' || sort === 'limit') {
    const asked = words.shift()
    const column = known.columns.findIndex((label, i) => label && columnText(known, i) === asked)
    if (column < 0) unknown.push(asked ?? 'no column')
    else how.column = column
  }
  const paths = known.groups.map(group => group.path)
  while (words.length) {
    const word = words.shift()
    if (word === 'turned') how.turned = true
    else if (word === 'flat') how.grouped = false
    else if (word === 'fit') how.fit = true
    else if (word === 'fold' || word === 'folded') {
      const named = words.splice(0).filter((path, i) => word === 'fold' || i > 0 || path !== 'but')
      unknown.push(...named.filter(path => !paths.includes(path)))
      how.folded = new Set(paths.filter(path => named.includes(path) === (word === 'fold')))
    } else unknown.push(word)
  }
  return { how, unknown }
}
