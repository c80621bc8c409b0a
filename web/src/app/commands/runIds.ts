/** Run ids in the text of a search; pure. */

// Crockford's base 32, as in ULIDs: no I, L, O and U.
const WHOLE = /(?:^|[^0-9A-Za-z])(?:run_)?([0-7][0-9A-HJKMNP-TV-Z]{25})(?:$|[^0-9A-Za-z])/i;
const BEGINNING = /^run_[0-7][0-9A-HJKMNP-TV-Z]{0,24}$/i;
const LONG_BEGINNING = /^[0-7][0-9A-HJKMNP-TV-Z]{7,24}$/i;
const END = /^(?:run |#)?([0-9A-HJKMNP-TV-Z]{6})$/i;

/**
 * Return the id of a run in a text, or a part of one: its beginning, or the last six characters, which lists show.
 * Return null for other text.
 */
export function runIdIn(text: string): string | null {
  const given = text.trim();
  const whole = WHOLE.exec(given)?.[1];
  if (whole !== undefined) return `run_${whole.toUpperCase()}`;
  if (BEGINNING.test(given)) return `run_${given.slice(4).toUpperCase()}`;
  if (LONG_BEGINNING.test(given)) return `run_${given.toUpperCase()}`;
  return END.exec(given)?.[1]?.toUpperCase() ?? null;
}

/** Return true if the id of a run begins or ends with the part. */
export function hasPart(id: string, part: string): boolean {
  return id.startsWith(part) || id.endsWith(part);
}

/** Return why no run was found for a part of an id. */
export function noRunWith(part: string): string {
  if (part.length === 30) return `This workspace has no run with the id ${part}. It may have been deleted.`;
  if (part.startsWith("run_")) return `This workspace has no run whose id begins with ${part}.`;
  return `None of the latest runs has an id that ends with ${part}. Paste the whole id to find an older run.`;
}
