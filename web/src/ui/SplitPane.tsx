import { useLocalStorage } from "@mantine/hooks";
import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef } from "react";
import classes from "./SplitPane.module.css";

interface SplitPaneProps {
  /** Side by side, or one above the other. */
  direction: "row" | "column";
  first: ReactNode;
  second: ReactNode;
  /** Label of the divider for screen readers. With `name` its position is remembered on this device. */
  label: string;
  name: string;
  /** Initial share of the first pane in percent. */
  initial?: number;
}

const LEAST = 15;

/** Two panes with a divider that moves by mouse or arrow keys. Fills its parent. */
export function SplitPane({ direction, first, second, label, name, initial = 50 }: SplitPaneProps) {
  const [share, setShare] = useLocalStorage({
    key: `headrace.split.${name}`,
    defaultValue: initial,
    getInitialValueInEffect: false,
  });
  const frame = useRef<HTMLDivElement>(null);
  const set = (next: number) => setShare(Math.min(Math.max(next, LEAST), 100 - LEAST));

  function drag(event: PointerEvent<HTMLDivElement>) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId) || frame.current === null) return;
    const box = frame.current.getBoundingClientRect();
    const part = direction === "row" ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
    set(part * 100);
  }
  function press(event: KeyboardEvent) {
    const [less, more] = direction === "row" ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    if (event.key === less) set(share - 4);
    else if (event.key === more) set(share + 4);
    else return;
    event.preventDefault();
  }

  return (
    <div ref={frame} className={classes.frame} data-direction={direction}>
      <div className={classes.part} style={{ flexBasis: `${share}%` }}>
        {first}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: an hr takes no focus and no keys */}
      <div
        role="separator"
        aria-orientation={direction === "row" ? "vertical" : "horizontal"}
        aria-label={label}
        aria-valuenow={Math.round(share)}
        aria-valuemin={LEAST}
        aria-valuemax={100 - LEAST}
        tabIndex={0}
        className={classes.divider}
        onKeyDown={press}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={drag}
        onDoubleClick={() => set(initial)}
      />
      <div className={classes.part} style={{ flexBasis: `${100 - share}%` }}>
        {second}
      </div>
    </div>
  );
}
