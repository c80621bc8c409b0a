/** Keys while a dialog covers the page. The app imports this at its start, before anything else listens for keys. */

/** The open dialog. */
let open: HTMLDialogElement | null = null;

/** Keep keys from the page below this dialog; null ends it. */
export function coverKeys(dialog: HTMLDialogElement | null): void {
  open = dialog;
}

/**
 * Mantine's dialogs and the editor listen for keys on the whole window; Escape would close them below this dialog. This
 * listener is added first and stops the event.
 */
function keepFromPage(event: Event): void {
  if (open === null) return;
  const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
  // The browser would close its own dialog too.
  if (isEscape) event.preventDefault();
  if (isEscape || !(event.target instanceof Node && open.contains(event.target))) event.stopImmediatePropagation();
}
for (const kind of ["keydown", "copy", "cut", "paste"]) window.addEventListener(kind, keepFromPage, true);
