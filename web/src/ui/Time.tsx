import { useSyncExternalStore } from "react";
import { presentFor, timeAgo, wholeTime } from "./format";

let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, 5_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The current time, updated about every five seconds by one timer for the whole page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** Show how long ago a time was; the exact time on hover and for screen readers. */
export function Time({ at }: { at: string | null | undefined }) {
  const tick = useNow();
  if (!at) return <span>–</span>;
  const real = Date.now();
  const present = presentFor(at, Math.max(tick, real - 5_000), real);
  return (
    <time dateTime={at} title={wholeTime(at)}>
      {timeAgo(at, present)}
    </time>
  );
}
