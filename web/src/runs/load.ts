/** Fetch the steps of a run page by page; of an active run only the pages that may have changed. */
import { type Schemas, server } from "@/api/client";
import { moves } from "./moving";
import type { Step } from "./states";

type Page = Schemas["StepOutList"];

export interface Pages {
  pages: { cursor: string | undefined; items: Step[]; next: string | undefined }[];
}

/** The maximum number of steps to fetch. The API has them all. */
export const MOST_STEPS = 20_000;

/** Return true if a page can no longer change: no step on it is active, and none can be inserted. */
export function isSettled(items: readonly Step[], after: number): boolean {
  return items.every((step, at) => step.number === after + 1 + at && !moves(step));
}

/** Return the number of leading pages that can be kept. */
export function settledPages({ pages }: Pages): number {
  let settled = 0;
  let after = -1;
  for (const page of pages) {
    if (page.next === undefined || !isSettled(page.items, after)) break;
    after = page.items.at(-1)?.number ?? after;
    settled += 1;
  }
  return settled;
}

/** Return all steps of the run. `before` is the result of the previous call. */
export async function loadSteps(run: string, before: Pages | undefined, signal: AbortSignal): Promise<Pages> {
  const pages = before === undefined ? [] : before.pages.slice(0, settledPages(before));
  let fetched = pages.reduce((sum, page) => sum + page.items.length, 0);
  let cursor = pages.at(-1)?.next;
  do {
    const query = { values: false, ...(cursor === undefined ? {} : { cursor }) };
    const { data } = await server.GET("/api/runs/{run}/steps", { params: { path: { run }, query }, signal });
    const page = data as Page;
    pages.push({ cursor, items: page.items as Step[], next: page.next_cursor ?? undefined });
    fetched += page.items.length;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && fetched < MOST_STEPS);
  return { pages };
}
