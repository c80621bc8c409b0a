/** A dialog that covers the page: nothing below can be seen or reached, but all of it stays mounted. */
import { type ReactNode, type SyntheticEvent, useLayoutEffect, useRef } from "react";
import classes from "./overPage.module.css";

/** The open dialog. */
let open: HTMLDialogElement | null = null;

/**
 * Mantine's dialogs and the editor listen for keys on the whole window; Escape would close them below this dialog. This
 * listener is added first and stops the event.
 */
function keepFromPage(event: Event): void {
  if (open === null) return;
  const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
  // The browser would close its own dialog too.
  if (isEscape) event.preventDefault();
  if (isEscape || !(event.target instanceof Node && open.contains(event.target)))
    event.stopImmediatePropagation();
}
for (const kind of ["keydown", "copy", "cut", "paste"]) window.addEventListener(kind, keepFromPage, true);

const stop = (event: SyntheticEvent) => event.stopPropagation();

/**
 * `label` is the id of the heading. The element with `data-autofocus` gets the focus; on close the previous element
 * gets it back.
 */
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
      // This dialog scrolls even if a dialog below locks the scrolling of the page.
      onWheel={stop}
      onTouchMove={stop}
    >
      {children}
    </dialog>
  );
}
