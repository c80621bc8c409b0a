import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError } from "@/api/client";
import { sendForm } from "@/api/sendForm";

export interface Upload extends Sending {
  id: number;
  state: "waits" | "goes" | "exists" | "failed";
  /** The fraction sent, 0 to 1. */
  part: number;
  error?: unknown;
}

/** The uploads of a page, one at a time. Finished uploads leave the list; leaving the page cancels the rest. */
export function useUploads(onDone: () => void) {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const next = useRef(0);
  const told = useRef(onDone);
  told.current = onDone;
  const [stop] = useState(() => new AbortController());
  useEffect(() => () => stop.abort(), [stop]);

  const patch = useCallback((id: number, change: Partial<Upload>) => {
    setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...change } : one)));
  }, []);
  const drop = useCallback((id: number) => setUploads((all) => all.filter((one) => one.id !== id)), []);
  const add = useCallback((files: readonly File[], folder: string) => {
    const made = files.map((file): Upload => {
      next.current += 1;
      return { id: next.current, file, folder, overwrite: false, state: "waits", part: 0 };
    });
    setUploads((all) => [...all, ...made]);
  }, []);
  const again = useCallback(
    (id: number, overwrite: boolean) => patch(id, { state: "waits", overwrite, part: 0, error: undefined }),
    [patch],
  );

  const going = uploads.find((one) => one.state === "goes");
  const waiting = uploads.find((one) => one.state === "waits");
  useEffect(() => {
    if (going !== undefined || waiting === undefined) return;
    const { id } = waiting;
    patch(id, { state: "goes" });
    upload(waiting, (part) => patch(id, { part }), stop.signal)
      .then(() => {
        drop(id);
        told.current();
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        const exists = error instanceof ApiError && error.status === 409;
        patch(id, { state: exists ? "exists" : "failed", error });
      });
  }, [going, waiting, patch, drop, stop]);

  return { uploads, add, again, drop };
}

interface Sending {
  file: File;
  /** The target folder, with a trailing slash; empty for the root. */
  folder: string;
  overwrite: boolean;
}

/** Resolve when the server has the file. `onProgress` gets the fraction sent, 0 to 1. Throws ApiError. */
function upload(
  { file, folder, overwrite }: Sending,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const form = new FormData();
  form.set("path", folder);
  form.set("overwrite", String(overwrite));
  form.set("file", file, file.name);
  return sendForm("/api/files", form, onProgress, signal);
}
