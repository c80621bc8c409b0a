/** A dialog that covers the page, of which nothing is to be seen or reached meanwhile, though all of it stays. */
import { type ReactNode, type SyntheticEvent, useLayoutEffect, useRef } from "react";
import classes from "./overPage.module.css";

/** The one that is open. */
let open: HTMLDialogElement | null = null;

/**
 * Mantine's dialogs and the editor listen to the whole window, and those beneath would close at Escape. This begins to
 * listen before any of them is there.
 */
function keepFromPage(event: Event): void {
  if (open === null) return;
  const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
  // The browser's own dialog would close too.
  if (isEscape) event.preventDefault();
  if (isEscape || !(event.target instanceof Node && open.contains(event.target)))
    event.stopImmediatePropagation();
}
for (const kind of ["keydown", "copy", "cut", "paste"]) window.addEventListener(kind, keepFromPage, true);

const stop = (event: SyntheticEvent) => event.stopPropagation();

/** `label` is the id of its heading. What has `data-autofocus` gets the focus, and what had it before gets it back. */
export function OverPage({ label, children }: { label: string; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    if (shown === null) return;
    open = shown;
    shown.showModal();
    shown.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => {
      open = null;
      shown.close();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={label}
      className={classes.over}
      onCancel={(event) => event.preventDefault()}
      onKeyDown={stop}
      onCopy={stop}
      onCut={stop}
      onPaste={stop}
      // Where a dialog beneath keeps the page from scrolling, this one still scrolls.
      onWheel={stop}
      onTouchMove={stop}
    >
      {children}
    </dialog>
  );
}
