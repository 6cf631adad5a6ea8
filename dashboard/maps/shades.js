// Which colour a cell has. `stepOf` is core/sensitivity/maps/colours.py once more, held together by a test.

// Position of a drop's colour among `colours.cells`: first the drops, then the improvements, by ends in tolerances.
export function stepOf(drop, tolerance, { worse, better }) {
  const share = Math.abs(drop) / tolerance * (1 - 1e-9)
  const ends = drop >= 0 ? worse : better
  let step = drop >= 0 ? 0 : worse.length + 1
  for (const end of ends) if (end < share) step += 1
  return step
}
