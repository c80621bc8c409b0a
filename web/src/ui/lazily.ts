/** Parts of the app that are loaded when they are first drawn. */
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

/** A style sheet whose request failed is not asked for again by itself. */
function askAgainForStyles(): void {
  for (const link of document.querySelectorAll<HTMLLinkElement>("link[rel=stylesheet]")) {
    if (link.sheet === null) link.replaceWith(link.cloneNode());
  }
}

/** After an update of the server an open page asks for parts that are gone: it takes the new app, once. */
function takeNewApp(error: unknown): Promise<never> {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - last < SOON) throw error;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  window.location.reload();
  return new Promise(() => {});
}

/** Tries until it succeeds or the server is there and does not have it. */
async function persistently<T>(load: () => Promise<T>): Promise<T> {
  let wait = FIRST_WAIT;
  let missed = false;
  for (;;) {
    try {
      return await load();
    } catch (error) {
      const there = await isThere();
      // The server may have come back between the two questions.
      if (there && missed) return takeNewApp(error);
      missed = there;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
    askAgainForStyles();
  }
}

/** As React's `lazy`; a server that is just being started again takes nobody's page away. */
export const lazily: typeof lazy = (load) => lazy(() => persistently(load));
