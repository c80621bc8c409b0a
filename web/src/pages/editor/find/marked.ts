/** The frame around the setting that contains a match. The focus stays in the search field. */
const MARK = "data-found";
const FRAMES = 180;

export function unmarkField(): void {
  for (const element of document.querySelectorAll(`[${MARK}]`)) element.removeAttribute(MARK);
}

/** Mark the element once it is rendered, and scroll it into view. A later mark replaces an earlier one. */
export function markField(find: () => HTMLElement | null | undefined): void {
  unmarkField();
  latest = find;
  mark(find, FRAMES);
}

let latest: unknown = null;

function mark(find: () => HTMLElement | null | undefined, frames: number): void {
  if (latest !== find) return;
  const element = find();
  if (element == null) {
    if (frames > 0) requestAnimationFrame(() => mark(find, frames - 1));
    return;
  }
  element.setAttribute(MARK, "");
  element.scrollIntoView({ block: "center" });
}
