"""A Plotly chart that is updated in place and reports clicks.

`st.plotly_chart` rebuilds the chart at every change of data, so zoom is lost, and a click on a heatmap cell never
reaches Python (streamlit issue 8760). Here `Plotly.react` keeps the chart, and every click is an event.
"""

from collections.abc import Mapping
from typing import Any

import plotly
import streamlit as st
from plotly.graph_objects import Figure

from dashboard.frame.sharing import take_away

# the version in the address: browsers keep the script for a year, and other programs serve on the same port
PLOTLY_URL = f"assets/plotly-{plotly.__version__}.min.js"

JS = """
const load = url => window.__secateurPlotly || (window.__secateurPlotly = new Promise((done, fail) => {
  const script = document.createElement('script')
  script.src = url                             // relative: works below any base path
  script.onload = () => done(window.Plotly)
  script.onerror = () => { window.__secateurPlotly = null; fail(new Error(url)) }
  document.head.appendChild(script)
}))

// the same list for the same name: buttons that differ make Plotly begin anew
const saving = (Plotly, state, name) => {
  if (state.file === name) return state.buttons
  state.file = name
  return state.buttons = [['png', 'PNG', 'camera'], ['svg', 'SVG', 'disk']].map(([format, title, icon]) => ({
    name: 'save ' + format, title: 'Download as ' + title, icon: Plotly.Icons[icon],
    click: div => {
      const paper = getComputedStyle(div).getPropertyValue('--st-background-color').trim()
      Plotly.downloadImage(div, { format, filename: name, scale: format === 'png' ? 2 : 1,
        width: div.clientWidth, height: div.clientHeight, setBackground: paper || 'opaque' })
    }
  }))
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const div = parentElement.querySelector('.secateur-plot')
  const state = div.__secateur || (div.__secateur = {})
  state.send = setTriggerValue
  div.setAttribute('aria-label', data.label)
  const style = getComputedStyle(parentElement)
  const css = name => style.getPropertyValue(name).trim()
  const look = css('--st-text-color') + css('--st-font')
  if (state.spec === data.figure && state.look === look) return
  state.spec = data.figure
  state.look = look
  const { data: traces, layout } = JSON.parse(data.figure)
  // at once, so that nothing below moves when the chart comes; and when the window is resized Plotly asks the box how
  // high it is, and forgets what the layout said
  div.style.height = (layout.height || 450) + 'px'
  load(data.url).then(Plotly => {
    const line = 'rgba(128,136,132,.22)'
    layout.font = { ...layout.font, color: css('--st-text-color'), family: css('--st-font') }
    layout.paper_bgcolor = layout.plot_bgcolor = 'rgba(0,0,0,0)'
    layout.hoverlabel = { align: 'left', font: { family: css('--st-font') } }
    layout.modebar = { bgcolor: 'rgba(0,0,0,0)', color: 'rgba(128,136,132,.6)', activecolor: css('--st-primary-color') }
    for (const axis of ['xaxis', 'yaxis']) layout[axis] = { gridcolor: line, zerolinecolor: line, ...layout[axis] }
    // a tool that nothing leaves offers no upload: neither the button nor an address that it could send to
    return state.drawing = Plotly.react(div, traces, layout, {
      displaylogo: false, responsive: true, plotlyServerURL: '',
      modeBarButtonsToRemove: ['sendChartToCloud', 'select2d', 'lasso2d', 'autoScale2d', 'toImage'],
      modeBarButtonsToAdd: saving(Plotly, state, data.file) }).then(() => {
      if (state.wired) return
      state.wired = true
      div.on('plotly_click', event => {
        const p = event.points[0]
        state.send('hit', { curve: p.curveNumber, x: p.x, y: p.y,
          row: Array.isArray(p.pointIndex) ? p.pointIndex[0] : p.pointIndex,
          column: Array.isArray(p.pointIndex) ? p.pointIndex[1] : null })
      })
    })
  }).catch(error => { div.textContent = 'The chart could not be loaded (' + error.message + '). Reload the page.' })
  // not while Plotly draws or waits for a font: it would go on with what was taken from it
  return () => Promise.allSettled([state.drawing, document.fonts.ready]).then(() => {
    if (window.Plotly && !div.isConnected) window.Plotly.purge(div)
  })
}
"""


def plotly_live(figure: Figure, key: str, label: str, file: str | None = None) -> Mapping[str, Any] | None:
    """Draw a figure, in place of what it showed before.

    Args:
        figure: theme-neutral: font, axis lines and background are set in the browser. It says how high it is.
        key: of the chart on the page.
        label: what the chart shows, for those who do not see it.
        file: name under which it is saved, without an ending; by default of the model, the run in the address, and key.

    Returns:
        The click that caused this run of the page (`curve`, `row`, `column`, `x`, `y`), or `None`.
    """
    name = file or take_away.file_name(st.session_state.get("model", ""), st.query_params.get("run", ""), key)
    component = st.components.v2.component(
        "secateur_plotly_live",
        html="<div class='secateur-plot' role='img' style='width:100%'></div>",
        js=JS,
        isolate_styles=False,  # Plotly's own styles do not enter a shadow root
    )
    result = component(
        key=key,
        data={"figure": figure.to_json(), "label": label, "url": PLOTLY_URL, "file": name},
        on_hit_change=lambda: None,
        height="content",
    )
    hit: Mapping[str, Any] | None = result.hit
    return hit
