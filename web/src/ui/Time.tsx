import { useEffect, useState, useSyncExternalStore } from "react";
import { duration, presentFor, timeAgo, wholeTime } from "./format";

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

interface ElapsedProps {
  startedAt: string | null | undefined;
  /** The final duration; null while the run or step is active. */
  ms: number | null | undefined;
  /** True while the time counts. */
  running: boolean;
}

/** Show a duration, counting seconds while it is still growing. */
export function Elapsed({ startedAt, ms, running }: ElapsedProps) {
  const [now, setNow] = useState(Date.now);
  const counts = running && (ms === null || ms === undefined);
  useEffect(() => {
    if (!counts) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [counts]);
  if (!counts || !startedAt) return <span>{duration(ms)}</span>;
  const seconds = Math.floor((now - Date.parse(startedAt)) / 1_000);
  // Something that has just started did not take "<1 ms".
  return <span>{seconds < 1 ? "0 s" : duration(seconds * 1_000)}</span>;
}
