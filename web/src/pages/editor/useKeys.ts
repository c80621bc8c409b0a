import { useEffect } from "react";
import { noteOf } from "@/definition/annotations";
import { folded } from "@/definition/folding";
import { GRID } from "@/definition/size";
import type { Position } from "@/definition/types";
import { notify } from "@/ui/notify";
import { isFoldedIn } from "./annotationActions";
import { act } from "./canvas/actions";
import { type Direction, neighbour, walkable } from "./canvas/walk";
import { nodeOf } from "./changes";
import { useEditorStore } from "./context";
import { whereNext } from "./palette/adding";
import { publishDraft } from "./saving/publishing";
import type { Saver } from "./saving/saver";
import { useSaver } from "./saving/useSaving";
import type { EditorStore } from "./store";
import { openFind, useUi } from "./ui";
import { canvasPlace } from "./useKeptFocus";

const INPUTS = "input, textarea, select, [contenteditable=true], [role=dialog], [role=menu], [role=listbox]";

/** Return true if keys belong to a field or a dialog, not to the canvas. */
export function isElsewhere(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(INPUTS) !== null;
}

/** Return true if the canvas, a node or nothing has the focus. */
function isOnCanvas(): boolean {
  const focused = document.activeElement;
  return (
    focused === null ||
    focused === document.body ||
    focused.id === "content" ||
    focused.classList.contains("react-flow") ||
    focused.classList.contains("react-flow__node") ||
    focused.classList.contains("react-flow__nodesselection-rect")
  );
}

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const STEPS: Record<Direction, Position> = {
  left: { x: -GRID, y: 0 },
  right: { x: GRID, y: 0 },
  up: { x: 0, y: -GRID },
  down: { x: 0, y: GRID },
};

function nudge(store: EditorStore, direction: Direction): void {
  const { definition, selected, within, moveNodes } = store.getState();
  const by = STEPS[direction];
  const moved = within(selected).map((id) => {
    const { x, y } = (nodeOf(definition, id) ?? noteOf(definition, id))?.position ?? { x: 0, y: 0 };
    return [id, { x: x + by.x, y: y + by.y }] as const;
  });
  moveNodes(new Map(moved));
}

function walk(store: EditorStore, direction: Direction): void {
  const state = store.getState();
  const shown = walkable(
    folded(state.definition, (group) => isFoldedIn(state, group)),
    state.definition.notes,
  );
  const from = state.selected.at(-1) ?? "";
  const to = neighbour(shown, from, direction) ?? (from || shown.nodes[0]?.id);
  if (to !== undefined) state.walkTo(to);
}

/** Open the node list beside the selected node, or in the middle of the canvas. */
export function openPalette(store: EditorStore): void {
  if (store.getState().readOnly) return;
  const box = document.querySelector(".react-flow__node.selected")?.getBoundingClientRect();
  const canvas = document.querySelector(".react-flow")?.getBoundingClientRect();
  const screen = box
    ? { x: box.right + 8, y: box.top }
    : { x: (canvas?.left ?? 0) + (canvas?.width ?? 0) / 2 - 170, y: (canvas?.top ?? 0) + 60 };
  useUi.getState().set({ quick: { screen, where: whereNext(store.getState()) } });
}

// About three seconds: the form's code loads with the first form.
const FRAMES = 180;

function focusFirst(frames = FRAMES): void {
  const panel = document.querySelector("[data-panel]");
  const first = panel?.querySelector<HTMLElement>(
    "[role=tabpanel] :is(input, textarea, [contenteditable=true])",
  );
  if (first != null) first.focus();
  else if (!isOnCanvas())
    return; // The user has moved on meanwhile.
  else if (frames > 0) requestAnimationFrame(() => focusFirst(frames - 1));
  else panel?.querySelector<HTMLElement>("input, button")?.focus();
}

/** Move the focus into the panel of the selected node, to its first field. */
export function openSelected(store: EditorStore): void {
  const { selected, definition, readOnly, setWriting } = store.getState();
  const [key = ""] = selected;
  if (selected.length !== 1) return;
  if (noteOf(definition, key) !== undefined && !readOnly) {
    setWriting(key);
    return;
  }
  useUi.getState().keep({ panel: true });
  requestAnimationFrame(() => focusFirst());
}

function duplicate(store: EditorStore): void {
  store.getState().duplicate(store.getState().selected);
  const { selected, walkTo } = store.getState();
  const [copy] = selected;
  // The keys continue from the current selection.
  if (copy !== undefined && selected.length === 1) walkTo(copy);
}

/** Move the focus from a field of the panel to its node, or to the canvas. */
function leavePanel(event: KeyboardEvent): boolean {
  const { target, key } = event;
  if (key !== "Escape" || !(target instanceof Element) || target.closest("[data-panel]") === null)
    return false;
  canvasPlace()?.focus({ preventScroll: true });
  return true;
}

type Act = (store: EditorStore) => void;

/** Keys with Ctrl or Cmd; the first two also work in fields. */
const WITH_CTRL: Record<string, Act> = {
  a: (store) => store.getState().selectAll(),
  d: duplicate,
  z: (store) => store.getState().undo(),
  Z: (store) => store.getState().redo(),
  y: (store) => store.getState().redo(),
};

const PLAIN: Record<string, Act> = {
  Delete: (store) => store.getState().removeSelected(),
  Backspace: (store) => store.getState().removeSelected(),
  Enter: openSelected,
  Escape: (store) => store.getState().select([]),
  "/": openPalette,
  F2: (store) => act("rename", store),
  d: (store) => act("disable", store),
  p: (store) => act("pin", store),
  n: (store) => act("note", store),
  g: (store) => act("group", store),
  "Shift+g": (store) => act("ungroup", store),
  f: (store) => act("fold", store),
  t: (store) => act("tidy", store),
  "?": () => useUi.getState().set({ keys: true }),
};

/** Publish the draft: an active flow changes, an inactive one gets a version. */
function save(store: EditorStore, saver: Saver): void {
  if (!store.getState().readOnly) void publishDraft(store, saver);
}

function runSelected(store: EditorStore): void {
  const { selected, run } = store.getState();
  if (selected.length === 1) run?.(selected[0]);
  else notify.hint("Select the node to run");
}

function everywhere(event: KeyboardEvent, store: EditorStore, saver: Saver): boolean {
  if (!event.ctrlKey && !event.metaKey) return false;
  const isInDialog = event.target instanceof Element && event.target.closest("[role=dialog]") !== null;
  if (event.key === "f" && !event.altKey && !isInDialog) openFind();
  else if (event.key === "s") void save(store, saver);
  else if (event.key === "Enter" && event.shiftKey) runSelected(store);
  else if (event.key === "Enter") store.getState().run?.();
  else return false;
  return true;
}

function onCanvas(event: KeyboardEvent, store: EditorStore): boolean {
  const arrow = ARROWS[event.key];
  if (event.ctrlKey || event.metaKey) {
    const perform = WITH_CTRL[event.shiftKey ? event.key.toUpperCase() : event.key];
    perform?.(store);
    return perform !== undefined;
  }
  if (arrow !== undefined && isOnCanvas()) {
    (event.altKey ? nudge : walk)(store, arrow);
    return true;
  }
  if (event.altKey) return false;
  // Tab moves the focus for keyboard users; after a click on the canvas it opens the node list.
  if (
    event.key === "Tab" &&
    isOnCanvas() &&
    !event.shiftKey &&
    !document.activeElement?.matches(":focus-visible")
  ) {
    openPalette(store);
    return true;
  }
  const isButton =
    event.target instanceof Element && event.target.closest("button, a, [role=button], [role=tab]");
  if (isButton && event.key === "Enter") return false;
  const perform = PLAIN[plainKey(event)];
  perform?.(store);
  return perform !== undefined;
}

/** Return the key, with Shift for letters only: `?` needs it on some keyboards. */
function plainKey({ key, shiftKey }: KeyboardEvent): string {
  if (!/^[a-z]$/i.test(key)) return key;
  return (shiftKey ? "Shift+" : "") + key.toLowerCase();
}

/** The keys of the editor; KeysDialog lists them. */
export function useKeys(): void {
  const store = useEditorStore();
  const saver = useSaver();
  useEffect(() => {
    // Escape closes an open list first, so remember if one was open.
    let wasOpen = false;
    function onCapture(event: KeyboardEvent) {
      wasOpen = event.target instanceof Element && event.target.closest("[aria-expanded=true]") !== null;
    }
    function onKeyDown(event: KeyboardEvent) {
      if (event.defaultPrevented) return;
      const done =
        everywhere(event, store, saver) ||
        (!wasOpen && leavePanel(event)) ||
        (!isElsewhere(event.target) && onCanvas(event, store));
      if (done) event.preventDefault();
    }
    window.addEventListener("keydown", onCapture, true);
    window.addEventListener("keydown", onKeyDown);
    return () => {
      window.removeEventListener("keydown", onCapture, true);
      window.removeEventListener("keydown", onKeyDown);
    };
  }, [store, saver]);
}
