import { useEffect } from "react";

const MOST = 12;

/** Return the selected node, else the canvas: the editor's keys work there. */
export function canvasPlace(): HTMLElement | null {
  return (
    document.querySelector<HTMLElement>(".react-flow__node.selected") ??
    document.querySelector<HTMLElement>(".react-flow[tabindex]")
  );
}

function canTake(element: HTMLElement): boolean {
  return (
    element.isConnected &&
    !element.matches(":disabled, .react-flow__node:not(.selected)") &&
    element.getClientRects().length > 0
  );
}

/**
 * Return the next focus target: the one that the removed element names (`data-next`), else the previous focus, else the
 * canvas.
 */
function successor(before: readonly HTMLElement[]): HTMLElement | null {
  const named = before.at(-1)?.dataset.next;
  const next = named === undefined ? null : document.querySelector<HTMLElement>(named);
  const wasNode = before.at(-1)?.matches(".react-flow__node") === true;
  const earlier = wasNode ? undefined : before.findLast(canTake);
  return next ?? earlier ?? canvasPlace();
}

/**
 * Move the focus on when its element is removed or disabled: a button that hides its panel, a deleted node, a dialog
 * opened from a menu. Otherwise the keyboard would start again at the top of the page.
 */
export function useKeptFocus(): void {
  useEffect(() => {
    let before: HTMLElement[] = [];
    function onFocus(event: FocusEvent) {
      if (!(event.target instanceof HTMLElement)) return;
      before = [...before.filter((one) => one !== event.target), event.target].slice(-MOST);
    }
    function check() {
      const last = before.at(-1);
      const active = document.activeElement ?? document.body;
      if (last === undefined || (active !== document.body && active !== last)) return;
      // A click on an empty area removes the focus on purpose.
      if (last.isConnected && !last.matches(":disabled")) return;
      const next = successor(before);
      before = before.filter((one) => one.isConnected);
      next?.focus({ preventScroll: true });
    }
    const observer = new MutationObserver(check);
    observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled"] });
    document.addEventListener("focusin", onFocus);
    return () => {
      observer.disconnect();
      document.removeEventListener("focusin", onFocus);
    };
  }, []);
}
