/** Positions of a chart's axes; pure. */

const STEPS = [1, 2, 2.5, 5, 10];

/** Return a round step, so that at most `most` steps reach `top`. */
export function roundStep(top: number, most: number): number {
  const power = 10 ** Math.floor(Math.log10(top / most));
  const factor = STEPS.find((step) => top / (step * power) <= most) ?? 10;
  return factor * power;
}

/** Return the values of the y axis from 0 to `top`, at most `most` steps apart from each other. */
export function valueTicks(top: number, most: number): number[] {
  const step = roundStep(top, most);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, at) => at * step);
}

const EVERY = [1, 2, 3, 4, 6, 7, 12];

/** Return the places of the x axis that get a label: each needs `space` pixels of the `width`. */
export function labelledPlaces(places: number, width: number, space: number): number[] {
  const every = EVERY.find((one) => (places / one) * space <= width) ?? Math.ceil((places * space) / width);
  return Array.from({ length: Math.ceil(places / every) }, (_, at) => at * every);
}

/** Return the points of a line in groups without gaps: a null value ends a group. */
export function unbroken(values: readonly (number | null)[]): [place: number, value: number][][] {
  const groups: [number, number][][] = [[]];
  values.forEach((value, place) => {
    if (value === null) groups.push([]);
    else groups.at(-1)?.push([place, value]);
  });
  return groups.filter((group) => group.length > 0);
}
