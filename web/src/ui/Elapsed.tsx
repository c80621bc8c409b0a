import { useEffect, useState } from "react";
import { duration } from "./format";

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
