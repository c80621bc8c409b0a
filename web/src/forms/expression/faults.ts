/** The place of an error in a text with expressions, from the server's message. */
import { regionsOf } from "./regions";

export interface Place {
  from: number;
  to: number;
}

const AT = /\(line (\d+), column (\d+)\)/;
const NAMED =
  /'([^']{1,200})' is not defined|has no (?:key|field|item|method) '([^']{1,200})'|no (?:filter|test|function) '([^']{1,200})'/;

/** Return the part of the text that the message is about; the first expression if it does not say. */
export function placeOf(text: string, message: string): Place {
  const at = AT.exec(message);
  if (at !== null) {
    const lines = text.split("\n").slice(0, Number(at[1]) - 1);
    const from = lines.reduce((sum, line) => sum + line.length + 1, 0) + Number(at[2]) - 1;
    return { from: Math.min(from, Math.max(0, text.length - 1)), to: Math.min(from + 1, text.length) };
  }
  const named = NAMED.exec(message)
    ?.slice(1)
    .find((part) => part !== undefined);
  const regions = regionsOf(text);
  if (named !== undefined) {
    for (const region of regions) {
      const from = text.indexOf(named, region.start);
      if (from !== -1 && from < region.end) return { from, to: from + named.length };
    }
  }
  const [first] = regions;
  return first === undefined ? { from: 0, to: text.length } : { from: first.from, to: first.to };
}
