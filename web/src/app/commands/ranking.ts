/** The commands of the palette for a search, best first; pure. */
import { looseScore, scoreIn, wordsOf } from "@/ui/match";
import type { Command, Group, Recent } from "./commands";

/** The headings without a search, in this order. */
const ORDER: readonly Group[] = ["Recent", "This page", "Actions", "Pages", "Nodes of this flow", "Add a node"];
const MAX_SHOWN = 50;
const MAX_RECENT = 6;
/** The score of a command that the server found by words which the palette does not know. */
const FOUND = 10;
/** The bonus of the latest item. It decides between similar matches, never against a much better one. */
const RECENT = 15;

function scoreOfWord(command: Command, word: string): number {
  const label = command.label.toLowerCase();
  return Math.max(
    scoreIn(word, label, 100),
    looseScore(word, label, 40),
    scoreIn(word, (command.words ?? "").toLowerCase(), 60),
    scoreIn(word, (command.about ?? "").toLowerCase(), 30),
    scoreIn(word, command.group.toLowerCase(), 20),
  );
}

/** Return how well a command matches all words of a search; 0 for no match. */
function scoreOf(command: Command, search: string): number {
  const words = wordsOf(search);
  const scores = words.map((word) => scoreOfWord(command, word));
  if (scores.length === 0 || scores.includes(0)) return command.found ? FOUND : 0;
  const whole = words.length > 1 ? scoreIn(words.join(" "), command.label.toLowerCase(), 50) : 0;
  return scores.reduce((sum, one) => sum + one, 0) / scores.length + whole;
}

/** Return each command once: the first with its id. */
function distinct(commands: readonly Command[]): Command[] {
  return [...new Map([...commands].reverse().map((command) => [command.id, command])).values()].reverse();
}

/** Return the commands that match a search, best first; of equal ones, recent ones first. */
export function ranked(commands: readonly Command[], search: string, recent: readonly Recent[]): Command[] {
  const places = new Map(recent.map(({ id }, at) => [id, at]));
  const bonus = (id: string) => {
    const at = places.get(id);
    return at === undefined ? 0 : RECENT * (1 - at / recent.length);
  };
  return distinct(commands)
    .map((command) => ({ command, score: scoreOf(command, search) }))
    .filter(({ score }) => score > 0)
    .map(({ command, score }) => ({ command, score: score + bonus(command.id) }))
    .sort((one, other) => other.score - one.score)
    .slice(0, MAX_SHOWN)
    .map(({ command }) => command);
}

export interface Section {
  group: Group;
  commands: Command[];
}

/** Return the commands to show without a search: the recent ones, then the others below their headings. */
export function sections(commands: readonly Command[], recent: readonly Recent[]): Section[] {
  const all = distinct(commands);
  const byId = new Map(all.map((command) => [command.id, command]));
  const latest = recent
    .map(({ id }) => byId.get(id))
    .filter((command) => command !== undefined)
    .slice(0, MAX_RECENT);
  const shown = new Set(latest.map((command) => command.id));
  const rest = all.filter((command) => !command.searched && !shown.has(command.id));
  return ORDER.map((group) => ({
    group,
    commands: group === "Recent" ? latest : rest.filter((command) => command.group === group),
  })).filter((section) => section.commands.length > 0);
}

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
