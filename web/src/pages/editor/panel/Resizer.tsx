import { type KeyboardEvent, type PointerEvent, useRef } from "react";
import { LEFT_FOR_CANVAS } from "../ui";
import classes from "./panel.module.css";

interface ResizerProps {
  label: string;
  width: number;
  least?: number;
  most?: number;
  onResize: (width: number) => void;
}

/** The left edge of a panel on the right, moved by dragging or arrow keys. */
export function Resizer({ label, width, least = 280, most = 1_600, onResize }: ResizerProps) {
  const start = useRef({ x: 0, width });
  const within = (value: number) =>
    Math.round(Math.max(least, Math.min(most, window.innerWidth - LEFT_FOR_CANVAS, value)));

  function onPointerDown(event: PointerEvent<HTMLDivElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    start.current = { x: event.clientX, width };
  }

  function onPointerMove(event: PointerEvent<HTMLDivElement>) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    onResize(within(start.current.width + start.current.x - event.clientX));
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = { ArrowLeft: 20, ArrowRight: -20 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onResize(within(width + step));
  }

  return (
    // biome-ignore lint/a11y/useSemanticElements: <hr> does not fit a separator that can be moved
    <div
      role="separator"
      aria-label={label}
      aria-orientation="vertical"
      aria-valuenow={width}
      aria-valuemin={least}
      aria-valuemax={most}
      tabIndex={0}
      className={classes.resizer}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onKeyDown={onKeyDown}
    />
  );
}
