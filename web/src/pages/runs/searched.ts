/** The result of a search in run data: how far it looked, and where a run has the text. Pure. */
import type { Schemas } from "@/api/client";
import { count, wholeTime } from "@/ui/format";

type Page = Schemas["RunItemOutFoundList"];
export type FoundPlace = Schemas["FoundPlaceOut"];
export type SearchedRuns = Schemas["SearchedOut"];

/** Return how far all pages together have looked; null without a search in run data. */
export function searchedIn(pages: readonly Page[]): SearchedRuns | null {
  const each = pages.flatMap((page) => (page.searched === undefined ? [] : [page.searched]));
  if (each.length === 0) return null;
  return {
    runs: each.reduce((sum, one) => sum + one.runs, 0),
    until: each.findLast((one) => one.until !== null)?.until ?? null,
    partly_read: each.reduce((sum, one) => sum + one.partly_read, 0),
  };
}

function runs(number: number): string {
  return number === 1 ? "1 run" : `${count(number)} runs`;
}

/** Return how far a search looked, in words; `more`: older runs were not read. */
export function inWords({ runs: number, until, partly_read: partly }: SearchedRuns, more: boolean): string {
  const whole = more
    ? `Searched the latest ${runs(number)}${until === null ? "" : `, back to ${wholeTime(until)}`}.`
    : `Searched ${runs(number)}; there are no older ones.`;
  return partly === 0 ? whole : `${whole} ${runs(partly)} had too much data to read in full.`;
}

/** Return the name of a place in a run's data. */
export function nameOfPlace({ place, node_name: node }: FoundPlace): string {
  const of = node ? ` of ${node}` : "";
  const names: Record<FoundPlace["place"], string> = {
    error: "Error",
    input: "Input",
    output: "Output",
    step_error: `Error${of}`,
    step_item: `Item${of}`,
    step_output: `Output${of}`,
  };
  return names[place];
}

/** Return the address of the run at the place. */
export function addressOf(runId: string, { place, step }: FoundPlace): string {
  if (step !== null) return `/runs/${runId}?step=${step}`;
  return place === "error" ? `/runs/${runId}` : `/runs/${runId}?tab=${place}`;
}
