/** Parts of the app that are loaded when they first render. */
import { lazy } from "react";

const FIRST_WAIT = 300;
const LONGEST_WAIT = 3_000;
const RELOADED = "headrace.reloaded";
const SOON = 30_000;

async function isThere(): Promise<boolean> {
  return fetch("/api/health", { cache: "no-store" }).then(
    (answer) => answer.ok,
    () => false,
  );
}

/** The browser does not repeat a failed request for a style sheet. */
function askAgainForStyles(): void {
  for (const link of document.querySelectorAll<HTMLLinkElement>("link[rel=stylesheet]")) {
    if (link.sheet === null) link.replaceWith(link.cloneNode());
  }
}

/** After a server update an open page may ask for chunks that no longer exist: reload the app once. */
function takeNewApp(error: unknown): Promise<never> {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - last < SOON) throw error;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  window.location.reload();
  return new Promise(() => {});
}

/** Retry until it succeeds, or the server is reachable and does not have the file. */
async function persistently<T>(load: () => Promise<T>): Promise<T> {
  let wait = FIRST_WAIT;
  let missed = false;
  for (;;) {
    try {
      return await load();
    } catch (error) {
      const there = await isThere();
      // The server may have come back between the two requests.
      if (there && missed) return takeNewApp(error);
      missed = there;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
    askAgainForStyles();
  }
}

/** Like React's `lazy`, but it survives a restart of the server. */
export const lazily: typeof lazy = (load) => lazy(() => persistently(load));
