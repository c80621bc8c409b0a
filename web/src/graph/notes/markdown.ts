/**
 * Limited Markdown of notes, parsed into parts that React renders as text: headings, lists, quotes, code, bold, italic
 * and links. Nothing of it becomes HTML, and links lead to the web or to mail only.
 */

export type Inline =
  | { kind: "text" | "code"; text: string }
  | { kind: "bold" | "italic"; parts: Inline[] }
  | { kind: "link"; href: string; parts: Inline[] };

export type Block =
  | { kind: "heading"; level: 1 | 2 | 3; parts: Inline[] }
  | { kind: "paragraph" | "quote"; lines: Inline[][] }
  | { kind: "list"; ordered: boolean; items: Inline[][] }
  | { kind: "code"; text: string };

const HEADING = /^(#{1,3})\s+(.+)$/;
const BULLET = /^\s{0,3}[-*+]\s+(.*)$/;
const NUMBER = /^\s{0,3}\d{1,9}[.)]\s+(.*)$/;
const QUOTE = /^>\s?(.*)$/;
const FENCE = /^\s{0,3}```/;

const INLINE = [
  { kind: "code", pattern: /`([^`\n]{1,1000})`/ },
  { kind: "link", pattern: /\[([^[\]\n]{1,500})\]\(([^()\s]{1,1000})\)/ },
  { kind: "bold", pattern: /\*\*(?=\S)([^*\n]{1,1000}?\S?)\*\*/ },
  { kind: "italic", pattern: /(?<![\w*])\*(?=\S)([^*\n]{1,1000})\*(?![\w*])/ },
  { kind: "italic", pattern: /(?<!\w)_(?=\S)([^_\n]{1,1000})_(?!\w)/ },
  { kind: "address", pattern: /https?:\/\/[^\s<>()[\]]{1,1000}[^\s<>()[\].,;:!?'"]/ },
] as const;

/** Return the address if a link may lead to it. */
export function safeHref(href: string): string | undefined {
  return /^(https?:\/\/|mailto:)/i.test(href) ? href : undefined;
}

/** Return the parts of a line. Marks that are not closed are text. */
export function inlineOf(line: string, depth = 0): Inline[] {
  const first = depth > 3 ? undefined : firstMark(line);
  if (first === undefined) return line === "" ? [] : [{ kind: "text", text: line }];
  const { match, kind } = first;
  const [whole, inner = "", href = ""] = match;
  const end = match.index + whole.length;
  const before: Inline[] = match.index > 0 ? [{ kind: "text", text: line.slice(0, match.index) }] : [];
  return [...before, ...markOf(kind, whole, inner, href, depth), ...inlineOf(line.slice(end), depth)];
}

function firstMark(line: string) {
  let best: { match: RegExpExecArray; kind: (typeof INLINE)[number]["kind"] } | undefined;
  for (const { kind, pattern } of INLINE) {
    const match = pattern.exec(line);
    if (match !== null && (best === undefined || match.index < best.match.index)) best = { match, kind };
  }
  return best;
}

type Kind = (typeof INLINE)[number]["kind"];

function markOf(kind: Kind, whole: string, inner: string, href: string, depth: number): Inline[] {
  if (kind === "code") return [{ kind, text: inner }];
  if (kind === "address") return [{ kind: "link", href: whole, parts: [{ kind: "text", text: whole }] }];
  const parts = inlineOf(inner, depth + 1);
  if (kind !== "link") return [{ kind, parts }];
  const safe = safeHref(href);
  return safe === undefined ? [{ kind: "text", text: whole }] : [{ kind, href: safe, parts }];
}

/** Return the blocks of a text. */
export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  // All characters that `.` of a pattern does not match.
  const lines = text.split(/\r\n|[\n\r\u2028\u2029]/);
  let at = 0;
  /** Take the following lines that match, as their first groups. */
  function take(pattern: RegExp): string[] {
    const taken: string[] = [];
    for (let match = pattern.exec(lines[at] ?? ""); match !== null; match = pattern.exec(lines[at] ?? "")) {
      taken.push(match[1] ?? "");
      at += 1;
      if (at >= lines.length) break;
    }
    return taken;
  }
  while (at < lines.length) {
    const line = lines[at] as string;
    const heading = HEADING.exec(line);
    if (line.trim() === "") at += 1;
    else if (FENCE.test(line)) {
      const end = lines.findIndex((one, place) => place > at && FENCE.test(one));
      const stop = end === -1 ? lines.length : end;
      blocks.push({ kind: "code", text: lines.slice(at + 1, stop).join("\n") });
      at = stop + 1;
    } else if (heading !== null) {
      const level = (heading[1] ?? "#").length as 1 | 2 | 3;
      blocks.push({ kind: "heading", level, parts: inlineOf(heading[2] ?? "") });
      at += 1;
    } else if (BULLET.test(line) || NUMBER.test(line)) {
      const ordered = NUMBER.test(line);
      const items = take(ordered ? NUMBER : BULLET).map((item) => inlineOf(item));
      blocks.push({ kind: "list", ordered, items });
    } else if (QUOTE.test(line)) {
      blocks.push({ kind: "quote", lines: take(QUOTE).map((one) => inlineOf(one)) });
    } else blocks.push({ kind: "paragraph", lines: take(PLAIN).map((one) => inlineOf(one)) });
  }
  return blocks;
}

/** A line that starts no other block. */
const PLAIN = /^(?!#{1,3}\s+\S|\s{0,3}[-*+]\s|\s{0,3}\d{1,9}[.)]\s|>|\s{0,3}```|\s*$)(.*)$/;

/** Return the text of a note in one line, for screen readers and lists. */
export function plainText(text: string): string {
  return text
    .replace(/[`*_#>]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
