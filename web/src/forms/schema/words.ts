/** Names of settings as people read them: `fail_on_status` is "Fail on status". */

const CAPITALS = new Set(
  "api bom cc bcc csv css db hmac html http https id ids imap ip json jwt mb mcp mqtt pdf qos rss s3 smtp sql ssh ssl tls ttl uri url urls utc uuid xml yaml".split(
    " ",
  ),
);

function word(part: string): string {
  return CAPITALS.has(part.toLowerCase()) ? part.toUpperCase() : part.toLowerCase();
}

export function labelOf(key: string): string {
  const parts = key
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .split(/[_\s-]+/)
    .filter((part) => part !== "");
  if (parts.length === 0) return key;
  const label = parts.map(word).join(" ");
  return label.charAt(0).toUpperCase() + label.slice(1);
}

/** A value of a list of choices: `next_link` is "Next link"; what is written in capitals, or is short, stays. */
export function choiceLabel(value: unknown): string {
  if (typeof value === "boolean") return value ? "Yes" : "No";
  const text = String(value);
  return /^[a-z][a-z]+(_[a-z]+)+$/.test(text) ? labelOf(text) : text;
}

/** A value at a glance, as a field's placeholder shows its default. */
export function glance(value: unknown): string {
  if (value === "" || value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(glance).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** The maximum number of options to render: more would freeze the browser; the search finds the others. */
export const MOST_SHOWN = 200;

/** Return the props of a select with that many options. */
export function shownOf(choices: readonly unknown[] = []) {
  return { searchable: choices.length > 8, limit: MOST_SHOWN, nothingFoundMessage: "No match" };
}

export function howToChoose(choices: readonly unknown[] = []): string {
  return choices.length > MOST_SHOWN ? "Type to search" : "Select";
}
