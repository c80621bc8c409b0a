/** A dialog that covers the page: nothing below can be seen or reached, but all of it stays mounted. */
import { type ReactNode, type SyntheticEvent, useLayoutEffect, useRef } from "react";
import { coverKeys } from "./overKeys";
import classes from "./overPage.module.css";

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
    coverKeys(shown);
    shown.showModal();
    shown.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => {
      coverKeys(null);
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
