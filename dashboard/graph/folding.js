// What is seen while some blocks are open: as core/graph/drawn.py has it, which a test holds this against.

/** For every box what stands for it: itself, or the outermost group around it that is folded. */
function standing(boxes, groups, open) {
  const stands = new Map(boxes.map(box => [box.id, box.id]))
  for (const group of [...groups].reverse())
    if (!open.has(group.path)) for (const box of group.boxes) stands.set(box, `group:${group.path}`)
  return stands
}

/** What is seen, in the order in which it runs, and what each reads. */
function seen(boxes, groups, open) {
  const stands = standing(boxes, groups, open)
  const found = new Map()
  for (const box of boxes) {
    const here = stands.get(box.id)
    if (!found.has(here)) found.set(here, new Set())
    for (const name of box.inputs) if (stands.get(name) !== here) found.get(here).add(stands.get(name))
  }
  return found
}
