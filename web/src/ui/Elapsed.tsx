import { useEffect, useState } from "react";
import { duration } from "./format";

interface ElapsedProps {
  startedAt: string | null | undefined;
  /** How long it took; null while it goes on. */
  ms: number | null | undefined;
  /** Whether time counts at the moment. */
  running: boolean;
}

/** How long something took, or has taken so far, counted second by second. */
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
  // What has only just begun did not take "<1 ms".
  return <span>{seconds < 1 ? "0 s" : duration(seconds * 1_000)}</span>;
}
