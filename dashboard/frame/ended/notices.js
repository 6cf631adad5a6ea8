// Notes of what has ended: in the page until they are dismissed, in its title, and, if that was allowed, outside of it.

const MARK = /^[\u2713\u2717] .* \u00b7 /

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const box = parentElement.querySelector('.notices')
  box.replaceChildren(...data.notices.map(one => noteOf(one, setTriggerValue)))
  if (data.notices.length) box.append(more(data.notices.length, setTriggerValue))
  entitle(data.notices[0])
  for (const one of data.notices) outside(one)
  if (data.scroll) scrollTo(data.scroll, 120)
  return () => {}
}

function part(name, className, text) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

function noteOf(one, send) {
  const note = part('div', one.ok ? 'note' : 'note failed', '')
  const go = part('button', 'go', one.link)
  go.addEventListener('click', () => send('go', one.id))
  const close = part('button', 'close', '\u2715')
  close.setAttribute('aria-label', `Dismiss: ${one.text}`)
  close.addEventListener('click', () => send('dismiss', one.id))
  note.append(part('span', 'text', `${one.ok ? '\u2713' : '\u2717'} ${one.text}`), go, close)
  return note
}

// Permission is asked for on a click and never else.
function more(n, send) {
  const row = part('div', 'more', '')
  if (window.Notification && Notification.permission === 'default') {
    const ask = part('button', 'ask', 'Also tell me outside of this tab')
    ask.addEventListener('click', () => Notification.requestPermission().then(() => ask.remove()))
    row.append(ask)
  }
  if (n > 1) {
    const all = part('button', 'all', 'Dismiss all')
    all.addEventListener('click', () => send('dismiss', 'all'))
    row.append(all)
  }
  return row
}

// The page gives itself its title again and again; what is new stands before it until it is dismissed.
function entitle(one) {
  const state = window.secateurTitle || (window.secateurTitle = { mark: '', watch: null })
  state.mark = one ? `${one.ok ? '\u2713' : '\u2717'} ${one.title} \u00b7 ` : ''
  const write = () => {
    const wanted = state.mark + document.title.replace(MARK, '')
    if (document.title !== wanted) document.title = wanted
  }
  if (!state.watch) {
    state.watch = new MutationObserver(write)
    state.watch.observe(document.head, { childList: true, subtree: true, characterData: true })
  }
  write()
}

function outside(one) {
  const told = window.secateurTold || (window.secateurTold = new Set())
  if (told.has(one.id)) return
  told.add(one.id)
  if (window.Notification && Notification.permission === 'granted' && document.hidden)
    new Notification(`Secateur: ${one.title}`, { body: one.text, tag: one.id })
}

// The screen may still be on its way, and what is drawn above the heading moves it away again: until it rests where it
// is seen and nothing is being drawn, or somebody scrolls.
function scrollTo(id, tries) {
  const theirs = new AbortController()
  for (const name of ['wheel', 'touchmove', 'keydown', 'pointerdown'])
    window.addEventListener(name, () => theirs.abort(), { capture: true, signal: theirs.signal })
  let rests = 0
  const look = left => {
    if (theirs.signal.aborted) return
    const heading = document.getElementById(id)
    const box = heading && heading.getBoundingClientRect()
    const isSeen = box && box.top >= 0 && box.bottom <= window.innerHeight
    const app = document.querySelector('[data-testid=stApp]')
    const isDrawn = !app || app.dataset.testScriptState !== 'running'
    if (heading && !isSeen) heading.scrollIntoView({ block: 'start' })
    rests = isSeen && isDrawn ? rests + 1 : 0
    if (left > 0 && rests < 6) setTimeout(() => look(left - 1), 250)
    else theirs.abort()
  }
  look(tries)
}
