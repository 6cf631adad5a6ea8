// How wide the column of a page is: told in steps, so that Python asks for other tables only where that may matter.

export default function (component) {
  const { data, setStateValue } = component
  const main = document.querySelector('[data-testid=stMainBlockContainer]')
  if (!main) return () => {}
  // what is asked for and has not come back stands in the page, so that who looks at it knows that it is not done
  const asked = main.dataset
  if (asked.room === String(data.room)) delete asked.room
  let wait = null
  const look = () => {
    const style = getComputedStyle(main)
    const inside = main.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)
    const room = data.steps.filter(step => step <= inside).pop() ?? data.steps[0]
    clearTimeout(wait)
    if (room === data.room) return delete asked.room
    asked.room = room
    wait = setTimeout(() => setStateValue('room', room), 60)
  }
  const watch = new ResizeObserver(look)
  watch.observe(main)
  return () => { clearTimeout(wait); watch.disconnect() }
}
