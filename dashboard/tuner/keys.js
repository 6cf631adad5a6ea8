// Keys in the list: one tab stop a row, arrows between rows, and the parts of a row by letters.

function listenToKeys(tuner) {
  const { state, parts, root } = tuner
  const viewOf = i => state.views.get(state.data.rows[i].key)
  const controlOf = view => view.slider || view.tick
  const goTo = place => {
    const i = state.shown[Math.max(0, Math.min(place, state.shown.length - 1))]
    if (i === undefined) return
    const view = viewOf(i)
    view.node.scrollIntoView({ block: 'nearest' })
    controlOf(view).focus()
  }
  const type = (view, text) => {
    if (!view.field) return
    view.field.focus()
    if (text !== undefined) view.field.value = text
    else view.field.select()
  }

  parts.list.addEventListener('keydown', event => {
    const row = event.target.closest('.row')
    if (!row || event.altKey || event.metaKey) return
    const { view } = row
    const inField = event.target === view.field
    const place = state.shown.indexOf(view.i)
    const done = () => event.preventDefault()
    if (event.ctrlKey) {
      if (event.key === 'Home' || event.key === 'End') {
        done()
        goTo(event.key === 'Home' ? 0 : state.shown.length - 1)
      }
    } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      done()
      if (event.key === 'ArrowUp' && place === 0) parts.filter.focus()
      else goTo(place + (event.key === 'ArrowUp' ? -1 : 1))
    } else if (event.key === 'Escape') {
      if (inField) {
        view.field.value = percentText(state.sparsities[view.i])
        controlOf(view).focus()
      } else parts.filter.focus()
    } else if (inField) {
      if (event.key === 'Enter') setTimeout(() => controlOf(view).focus())   // what was typed is taken first
    } else if (event.key === 'Enter' && event.target === view.slider) {
      done()
      type(view)
    } else if (/^[0-9.,]$/.test(event.key) && event.target === view.slider) {
      done()
      type(view, event.key)
    } else if (event.key === 'l' || event.key === 'L') hold(tuner, [view.i], { locked: !state.holds[view.i].locked })
    else if (event.key === 'i' || event.key === 'I') push(tuner, { focus: state.data.rows[view.i].key })
    else if (event.key === 'Delete' && view.patterns.firstChild) view.patterns.firstChild.click()
  })
  parts.filter.addEventListener('keydown', event => {
    if (event.key !== 'ArrowDown') return
    event.preventDefault()
    goTo(0)
  })
  root.querySelector('.head').addEventListener('keydown', event => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
    const buttons = [...root.querySelectorAll('.head [data-sort]')].filter(button => button.offsetParent)
    const next = buttons.indexOf(event.target) + (event.key === 'ArrowLeft' ? -1 : 1)
    event.preventDefault()
    buttons[Math.max(0, Math.min(next, buttons.length - 1))].focus()
  })
}
