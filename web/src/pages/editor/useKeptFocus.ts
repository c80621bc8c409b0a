import { useEffect } from "react";

const MOST = 12;

/** The selected node, else the canvas: where the keys of the editor work. */
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

/** What a thing that is gone names itself (`data-next`), else what had the focus before it, else the canvas. */
function successor(before: readonly HTMLElement[]): HTMLElement | null {
  const named = before.at(-1)?.dataset.next;
  const next = named === undefined ? null : document.querySelector<HTMLElement>(named);
  const wasNode = before.at(-1)?.matches(".react-flow__node") === true;
  const earlier = wasNode ? undefined : before.findLast(canTake);
  return next ?? earlier ?? canvasPlace();
}

/**
 * Hands the focus on when what had it is taken away or can no longer have it: a button that hides its panel, a node
 * that is deleted, a dialog opened by a menu. Else the keyboard would begin anew at the top of the page.
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
      // One who clicked beside everything wants no focus.
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
