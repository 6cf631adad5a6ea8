// One row of the list: made once for each target, then only its texts and marks change.

const LOCK = `<svg viewBox="0 0 16 16" aria-hidden="true"><rect x="3" y="7" width="10" height="7" rx="1.5"/>
  <path d="M5 7V5a3 3 0 0 1 6 0v2"/></svg>`

function element(name, className, text) {
  const made = document.createElement(name)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  return made
}

// The parts of a row that later change are kept beside its node, so that nothing is looked up while a slider moves.
export function makeRow(row) {
  const node = element('div', 'row')
  node.dataset.key = row.key
  const view = { node, curve: makeCurve(), shown: {} }
  view.name = element('button', 'name')
  view.name.append(element('span', 'label'), element('span', 'what'))
  view.name.tabIndex = -1                            // one tab stop a row, its slider or tick; keys reach the rest
  view.cut = element('div', 'cut')
  if (row.whole) {
    const label = element('label', 'tick')
    view.tick = element('input')
    view.tick.type = 'checkbox'
    view.tick.setAttribute('aria-label', `Remove ${row.spoken}`)
    label.append(view.tick, element('span', '', 'remove'))
    view.cut.append(label)
  } else {
    view.slider = element('input', 'slider')
    Object.assign(view.slider, { type: 'range', min: 0, max: 99, step: 'any' })
    view.slider.setAttribute('aria-label', `${row.spoken}, percent to remove`)
    view.field = element('input', 'percent')
    Object.assign(view.field, { type: 'text', inputMode: 'decimal', autocomplete: 'off' })
    view.field.setAttribute('aria-label', `${row.spoken}, percent to remove, typed`)
    view.field.tabIndex = -1
    view.cut.append(view.slider, view.field, element('span', 'sign', '%'))
  }
  view.patterns = element('span', 'patterns')
  view.cut.append(view.patterns)
  view.lock = element('button', 'lock')
  view.lock.innerHTML = LOCK
  view.lock.tabIndex = -1
  view.lock.setAttribute('aria-label', `Lock ${row.spoken}`)
  view.drop = makeShare('drop')
  view.cost = makeShare('cost')
  view.worth = element('div', 'worth')
  view.worth.append(element('span'), element('small'))
  node.append(view.name, view.curve, view.cut, view.lock, view.drop, view.cost, view.worth)
  return view
}

function makeShare(name) {
  const share = element('div', `share ${name}`)
  share.append(element('i'), element('span'))
  return share
}

// What of a row changes with the model or a new sweep, not with the plan.
export function fillRow(view, row, falls) {
  view.name.firstChild.textContent = row.name
  view.name.lastChild.textContent = row.what
  view.name.title = row.about
  view.falls = falls
  drawCurve(view.curve, row, falls)
  view.curve.parentNode.classList.toggle('unknown', row.harm === null)
  view.shown = {}
}

// What changes with the plan; texts that stand there already are not touched.
export function showRow(view, row, now) {
  const { shown } = view
  if (shown.sparsity !== now.sparsity) {
    if (row.whole) view.tick.checked = now.sparsity > 0
    else {
      const text = percentText(now.sparsity)
      if (Number(view.slider.value) !== 100 * now.sparsity) view.slider.value = 100 * now.sparsity
      if (!view.field.matches(':focus') || now.typed) view.field.value = text
      view.slider.setAttribute('aria-valuetext', `${text} %`)
      view.slider.style.setProperty('--at', `${Math.min(100, 100 * now.sparsity / 0.99)}%`)
    }
    moveMark(view.curve, row, view.falls, now.sparsity)
    view.node.classList.toggle('cut-now', now.sparsity > 0)
    view.node.classList.toggle('beyond', isBeyond(row, now.sparsity))
    shown.sparsity = now.sparsity
  }
  showShare(view.drop, shown, 'drop', now.drop)
  showShare(view.cost, shown, 'cost', now.cost)
  showWorth(view, now.worth)
  const held = JSON.stringify(now.hold)
  if (shown.hold !== held) {
    shown.hold = held
    view.lock.setAttribute('aria-pressed', String(now.hold.locked))
    view.node.classList.toggle('locked', now.hold.locked)
    showBounds(view, now.hold)
  }
  const kept = row.patterns.filter(cut => now.isKept(cut.key))
  const patterns = kept.map(cut => cut.key).join('\n')
  if (shown.patterns !== patterns) {
    shown.patterns = patterns
    view.patterns.replaceChildren(...kept.map(makePattern))
  }
}

function makePattern(cut) {
  const button = element('button', 'pattern', `${cut.text} ✕`)
  button.tabIndex = -1
  button.dataset.cut = cut.key
  button.setAttribute('aria-label', `Take out the cut to ${cut.text}`)
  button.title = 'Cut in a pattern on the Map screen; click to take it out of the plan'
  return button
}

function showBounds(view, hold) {
  if (!view.slider) return
  const bounded = hold.least > 0 || hold.most < 1
  view.cut.classList.toggle('bounded', bounded)
  view.slider.style.setProperty('--least', `${100 * hold.least / 0.99}%`)
  view.slider.style.setProperty('--most', `${Math.min(100, 100 * hold.most / 0.99)}%`)
  view.cut.title = bounded ? `A goal keeps it between ${percentText(hold.least)} and ${percentText(hold.most)} %` : ''
}

// What giving the row back is worth inside the plan, from the map that was measured there.
function showWorth(view, worth) {
  if (view.shown.worth === worth) return
  view.shown.worth = worth
  const [gain, cost, about, , isSure] = worth || ['', '', '', 0, false]
  view.worth.firstChild.textContent = gain
  view.worth.lastChild.textContent = cost
  view.worth.title = about
  view.worth.classList.toggle('sure', isSure)
}

function showShare(node, shown, name, share) {
  const text = share === null ? '?' : share === 0 ? '' : shareText(share)
  if (shown[name] === text) return
  shown[name] = text
  node.firstChild.style.width = `${share === null ? 0 : Math.min(100, 100 * share)}%`
  node.lastChild.textContent = text
}

// What was typed as a percentage; null for what is none that can be removed: it is refused, not bent.
export function typedFraction(text) {
  const percent = text.trim() === '' ? 0 : Number(text.trim().replace('%', '').replace(',', '.'))
  const fraction = Number((percent / 100).toFixed(6))
  return fraction >= 0 && fraction < 1 && percent >= 0 ? fraction : null
}
