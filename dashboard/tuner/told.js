// What is said of metric and drop, and how that is known: measured, predicted, the dense model itself, or not at all.
export function toldTexts(model, found, nCuts) {
  const { scale, basis } = model
  const n = count => `n = ${count.toLocaleString('en')}`
  const plain = value => metricText(scale, value).split(' ')[0]
  const ends = (low, high) => `[${[low, high].sort((a, b) => a - b).map(plain).join(', ')}]`
  const drops = (low, high) => `[${dropText(scale, low)}, ${dropText(scale, high)}]`
  const dense = basis ? `dense ${metricText(scale, basis.value)}, ${n(basis.n)}` : ''
  if (nCuts === 0 && basis) {
    return { how: 'dense', texts: { how: 'dense', metric: metricText(scale, basis.value),
      metricInterval: `${ends(basis.low, basis.high)}, ${n(basis.n)}`, metricOf: '', dropHow: '', drop: `0 ${model.dropUnit}`,
      dropInterval: 'no cuts: the dense model itself', dropOf: '', guess: '' } }
  }
  if (!found) {
    return { how: 'unknown', texts: { how: 'not predicted:', metric: '?', metricInterval: 'sweep on the Map screen to predict',
      metricOf: dense, dropHow: '', drop: '?', dropInterval: '', dropOf: '', guess: '' } }
  }
  const drop = `${dropText(scale, found.drop)} ${model.dropUnit}`
  if (found.measured) {
    const there = found.metric + (model.higherIsBetter ? 1 : -1) * found.drop   // paired: on the same examples
    const isAll = basis && basis.n === found.measured
    return { how: 'measured', texts: { how: 'measured', metric: metricText(scale, found.metric),
      metricInterval: `${ends(found.low, found.high)}, ${n(found.measured)}`,
      metricOf: isAll ? `dense ${metricText(scale, there)}, same examples` : `dense ${metricText(scale, there)} on these; ${dense}`,
      dropHow: 'measured', drop, dropInterval: `${drops(found.dropLow, found.dropHigh)}, ${n(found.measured)}, paired`,
      dropOf: found.before ? `predicted before: ${dropText(scale, found.before[0])} ${drops(found.before[1], found.before[2])}` : '',
      guess: '' } }
  }
  const at = basis ? onDense(model, found) : found
  const others = basis && model.n !== basis.n ? `predicted from cells on ${n(model.n)}` : ''
  return { how: 'predicted', texts: { how: 'predicted', metric: metricText(scale, at.metric),
    metricInterval: ends(at.low, at.high), metricOf: dense, dropHow: 'predicted', drop,
    dropInterval: drops(found.dropLow, found.dropHigh), dropOf: others,
    guess: found.guesses.length ? `? A guess: ${found.guesses.join('; ')}.` : '' } }
}
