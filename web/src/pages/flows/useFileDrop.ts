import { useEffect, useRef, useState } from "react";

function hasFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/** Accept files dropped anywhere on the page. Return true while files are dragged over it. */
export function useFileDrop(onFiles: (files: File[]) => void, enabled: boolean): boolean {
  const [over, setOver] = useState(false);
  const tell = useRef(onFiles);
  tell.current = onFiles;

  useEffect(() => {
    if (!enabled) return;
    // Each element fires its own enter and leave events; their sum tells if the pointer is over the page.
    let depth = 0;
    const stop = new AbortController();
    const on = (name: "dragenter" | "dragover" | "dragleave" | "drop", act: (event: DragEvent) => void) =>
      window.addEventListener(name, (event) => hasFiles(event) && act(event), { signal: stop.signal });
    const set = (next: number) => {
      depth = Math.max(0, next);
      setOver(depth > 0);
    };
    on("dragenter", () => set(depth + 1));
    on("dragleave", () => set(depth - 1));
    on("dragover", (event) => event.preventDefault());
    on("drop", (event) => {
      event.preventDefault();
      set(0);
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) tell.current(files);
    });
    return () => stop.abort();
  }, [enabled]);

  return over;
}
