import { type RefObject, useEffect, useRef } from "react";
import type { Position } from "@/definition/types";

const LONG_MS = 500;
/** A finger is never quite still. */
const SLACK = 10;

/** Call the function when a finger stays on an element: not every browser has a context menu for touch. */
export function useLongPress(
  place: RefObject<HTMLElement | null>,
  onPress: (element: Element, screen: Position) => void,
): void {
  const latest = useRef(onPress);
  useEffect(() => {
    latest.current = onPress;
  });
  useEffect(() => {
    const canvas = place.current;
    let timer: number | undefined;
    let from: Position = { x: 0, y: 0 };
    const cancel = () => window.clearTimeout(timer);

    function onDown(event: PointerEvent) {
      cancel();
      const { target, clientX: x, clientY: y } = event;
      // A second finger zooms.
      if (event.pointerType !== "touch" || !event.isPrimary || !(target instanceof Element)) return;
      from = { x, y };
      timer = window.setTimeout(() => latest.current(target, { x, y }), LONG_MS);
    }
    function onMove(event: PointerEvent) {
      if (Math.hypot(event.clientX - from.x, event.clientY - from.y) > SLACK) cancel();
    }
    canvas?.addEventListener("pointerdown", onDown, true);
    canvas?.addEventListener("pointermove", onMove, true);
    for (const end of ["pointerup", "pointercancel"] as const) canvas?.addEventListener(end, cancel, true);
    return () => {
      cancel();
      canvas?.removeEventListener("pointerdown", onDown, true);
      canvas?.removeEventListener("pointermove", onMove, true);
      for (const end of ["pointerup", "pointercancel"] as const)
        canvas?.removeEventListener(end, cancel, true);
    };
  }, [place]);
}
