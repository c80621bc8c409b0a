import { notifications } from "@mantine/notifications";
import { useReactFlow } from "@xyflow/react";
import { useEffect } from "react";
import { noteKey, noteOf } from "@/definition/annotations";
import { asDefinition, type Folded, folded } from "@/definition/folding";
import { readDefinition } from "@/definition/read";
import { type Definition, type FlowNote, GRID, type Position } from "@/definition/types";
import { notify } from "@/ui/notify";
import { isFoldedIn } from "./annotating";
import { act } from "./canvas/canvasActions";
import { nodeOf, type Piece, pieceOf, placed, prepareLayout } from "./changes";
import { useEditorStore } from "./context";
import { whereNext } from "./palette/adding";
import { publishDraft } from "./saving/remote";
import type { Saver } from "./saving/saver";
import { useSaver } from "./saving/useSaving";
import type { EditorStore } from "./store";
import { openFind, useUi } from "./ui";
import { canvasPlace } from "./useKeptFocus";

// The target of an arrow key from a node.

type Direction = "left" | "right" | "up" | "down";

const far = Number.POSITIVE_INFINITY;

type Graph = Pick<Definition, "nodes" | "edges">;

const NOTE = "note";

/** Return the graph to walk through: the shown nodes, cards of folded groups, and notes, which have no edges. */
function walkable(shown: Folded, notes: readonly FlowNote[] = []): Graph {
  const { nodes, edges } = asDefinition(shown);
  const places = notes.map((note) => ({ id: noteKey(note.id), type: NOTE, position: note.position }));
  return {
    nodes: [...nodes, ...places.map(({ position = { x: 0, y: 0 }, ...one }) => ({ ...one, position }))],
    edges,
  };
}

/** Return the node to go to; undefined if there is none in that direction. */
function neighbour(definition: Graph, from: string, direction: Direction): string | undefined {
  const spots = new Map(definition.nodes.map((node) => [node.id, node.position ?? { x: 0, y: 0 }]));
  const here = spots.get(from);
  if (here === undefined) return definition.nodes[0]?.id;
  const forward = direction === "right";
  const isNote = definition.nodes.some((node) => node.id === from && node.type === NOTE);
  if (isNote && (forward || direction === "left")) {
    const beside = [...spots].filter(([, spot]) => (forward ? spot.x > here.x : spot.x < here.x));
    return nearest(
      beside.map(([id]) => id),
      (id) => Math.hypot((spots.get(id)?.x ?? far) - here.x, (spots.get(id)?.y ?? far) - here.y),
    );
  }
  if (forward || direction === "left") {
    const along = definition.edges
      .filter((edge) => (forward ? edge.from : edge.to) === from)
      .map((edge) => (forward ? edge.to : edge.from));
    return nearest(along, (id) => Math.abs((spots.get(id)?.y ?? far) - here.y));
  }
  const sign = direction === "down" ? 1 : -1;
  const others = definition.nodes
    .map((node) => node.id)
    .filter((id) => {
      const spot = spots.get(id);
      return spot !== undefined && (spot.y - here.y) * sign > 0;
    });
  // Siblings are in about the same column; horizontal distance counts less than vertical distance.
  return nearest(others, (id) => {
    const spot = spots.get(id) ?? here;
    return Math.abs(spot.x - here.x) * 3 + Math.abs(spot.y - here.y);
  });
}

function nearest(ids: readonly string[], distance: (id: string) => number): string | undefined {
  let best: string | undefined;
  let shortest = far;
  for (const id of ids) {
    const length = distance(id);
    if (length < shortest) [best, shortest] = [id, length];
  }
  return best;
}

// The clipboard's content for copying, and the interpretation of pasted text.

type Pasted =
  | { kind: "nodes"; definition: Definition }
  /** A cURL command, from which the server makes a node. */
  | { kind: "curl"; command: string }
  | { kind: "nothing" };

export function copied(definition: Definition, chosen: readonly string[]): string {
  return JSON.stringify({ headrace: "nodes", ...pieceOf(definition, chosen) }, null, 2);
}

/** Return all of a pasted definition, with the edges between its nodes; hand-written text may contain others. */
export async function wholeOf(definition: Definition): Promise<Piece> {
  await prepareLayout(definition);
  const { nodes, edges, notes, groups } = placed(definition);
  const ids = new Set(nodes.map((node) => node.id));
  return {
    nodes,
    edges: edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)),
    ...(notes === undefined ? {} : { notes }),
    ...(groups === undefined ? {} : { groups }),
  };
}

export function pastedOf(text: string): Pasted {
  const trimmed = text.trim();
  if (/^curl(\.exe)?\s/.test(trimmed)) return { kind: "curl", command: trimmed };
  if (!trimmed.startsWith("{")) return { kind: "nothing" };
  try {
    const value = JSON.parse(trimmed) as Record<string, unknown>;
    // An exported flow contains its definition.
    const definition = readDefinition("definition" in value ? value.definition : value);
    if (definition.nodes.length + (definition.notes?.length ?? 0) === 0) return { kind: "nothing" };
    return { kind: "nodes", definition };
  } catch {
    return { kind: "nothing" };
  }
}

/** Return true if text on the page is selected: copying then means that text. */
function hasText(): boolean {
  return (window.getSelection()?.toString() ?? "") !== "";
}

/** Return a point near the middle of the canvas, for pasted nodes. */
function middle(): { x: number; y: number } {
  const box = document.querySelector(".react-flow")?.getBoundingClientRect();
  return box === undefined ? { x: 0, y: 0 } : { x: box.x + 0.4 * box.width, y: box.y + 0.4 * box.height };
}

/** Ctrl+C, X and V use the system clipboard, so they work across flows, tabs and browsers. */
export function useClipboard(): void {
  const store = useEditorStore();
  const { screenToFlowPosition } = useReactFlow();

  useEffect(() => {
    let pointer: { x: number; y: number } | null = null;

    function onPointerMove(event: PointerEvent) {
      const onCanvas = event.target instanceof Element && event.target.closest(".react-flow") !== null;
      pointer = onCanvas ? { x: event.clientX, y: event.clientY } : null;
    }

    function onCopy(event: ClipboardEvent) {
      const { selected, definition } = store.getState();
      if (selected.length === 0 || hasText() || isElsewhere(event.target)) return;
      event.clipboardData?.setData("text/plain", copied(definition, selected));
      event.preventDefault();
      if (event.type === "cut") store.getState().removeNodes(selected);
      else
        notifications.show({
          message: selected.length === 1 ? "Node copied" : `${selected.length} nodes copied`,
        });
    }

    /** Return the pointer's position, else the middle of the visible canvas. */
    function paste(piece: Piece) {
      store.getState().paste(piece, screenToFlowPosition(pointer ?? middle()));
    }

    function onPaste(event: ClipboardEvent) {
      if (isElsewhere(event.target) || store.getState().readOnly) return;
      const text = event.clipboardData?.getData("text/plain") ?? "";
      const pasted = pastedOf(text);
      if (pasted.kind === "nothing") {
        if (text.trim() !== "") notify.hint("The clipboard contains neither nodes nor a cURL command.");
        return;
      }
      event.preventDefault();
      if (pasted.kind === "nodes") void wholeOf(pasted.definition).then(paste);
      else useUi.getState().set({ curl: { where: whereNext(store.getState()), command: pasted.command } });
    }

    document.addEventListener("pointermove", onPointerMove);
    document.addEventListener("copy", onCopy);
    document.addEventListener("cut", onCopy);
    document.addEventListener("paste", onPaste);
    return () => {
      document.removeEventListener("pointermove", onPointerMove);
      document.removeEventListener("copy", onCopy);
      document.removeEventListener("cut", onCopy);
      document.removeEventListener("paste", onPaste);
    };
  }, [store, screenToFlowPosition]);
}

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
  const first = panel?.querySelector<HTMLElement>("[role=tabpanel] :is(input, textarea, [contenteditable=true])");
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
  if (key !== "Escape" || !(target instanceof Element) || target.closest("[data-panel]") === null) return false;
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
  const dialog = event.target instanceof Element ? event.target.closest("[role=dialog]") : null;
  const submit = dialog?.querySelector<HTMLElement>("form [type=submit]");
  if (event.key === "f" && !event.altKey && dialog === null) openFind();
  else if (event.key === "s") void save(store, saver);
  else if (event.key === "Enter" && submit != null) submit.click();
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
  if (event.key === "Tab" && isOnCanvas() && !event.shiftKey && !document.activeElement?.matches(":focus-visible")) {
    openPalette(store);
    return true;
  }
  const isButton = event.target instanceof Element && event.target.closest("button, a, [role=button], [role=tab]");
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
