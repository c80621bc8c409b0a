/** Convert times between JSON, with a UTC offset, and the browser's inputs, in local time. */

const two = (number: number) => String(number).padStart(2, "0");

/** Return a time for `datetime-local`; empty for an invalid one. */
export function localOf(value: string): string {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return "";
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const seconds = at.getSeconds() === 0 ? "" : `:${two(at.getSeconds())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}${seconds}`;
}

/** Convert the input's value to UTC; undefined if it is empty. */
export function instantOf(local: string): string | undefined {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString().replace(".000Z", "Z");
}
