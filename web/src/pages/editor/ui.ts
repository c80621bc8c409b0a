/** Open dialogs and panels of the editor, and their sizes. Sizes and panels are remembered on this device. */
import { create } from "zustand";
import type { Position } from "@/definition/types";
import type { Target } from "./canvas/menu";
import type { Where } from "./changes";

interface Kept {
  palette: boolean;
  panel: boolean;
  panelWidth: number;
  /** True for the panel below the canvas, with its height. */
  docked: boolean;
  dockHeight: number;
  jsonWidth: number;
}

interface Ui extends Kept {
  /** The quick node list: its position on the screen, and the place of the new node. */
  quick: { screen: Position; where: Where } | null;
  /** The dialog for a cURL command, and the place of the new node. */
  curl: { where: Where; command: string } | null;
  /** The open context menu: its position on the screen, and the element that it is for. */
  menu: { screen: Position; target: Target } | null;
  /** True if the flow was opened empty: the node list is shown until the user hides it. */
  isNew: boolean;
  json: boolean;
  keys: boolean;
  problems: boolean;
  /** The number of times the text search was opened, by which its field knows; null while it is closed. */
  find: number | null;
  set: (patch: Partial<Ui>) => void;
  keep: (patch: Partial<Kept>) => void;
}

const KEY = "headrace.editor";
// On a small screen the graph gets the space; the button above it, `+` and `/` open the node list.
const USUAL: Kept = {
  palette: window.innerWidth >= 1600,
  panel: true,
  panelWidth: 360,
  docked: false,
  dockHeight: 360,
  jsonWidth: 420,
};

function kept(): Kept {
  try {
    return { ...USUAL, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Kept>) };
  } catch {
    return USUAL; // Invalid content; losing sizes is harmless.
  }
}

/** The panel width from which a node's input and output are side by side. */
export const WIDE = 560;
/** The panel width from which a node's settings are between its input and its output. */
export const LARGE = 820;
/** The part of the window that stays for the canvas. */
export const LEFT_FOR_CANVAS = 380;

/** The width of the window from which a new flow has the list of nodes beside its canvas. */
export const ROOM_FOR_LIST = 1_200;

/** Return the width for the button: wide if it is narrow, else the default. */
export function otherWidth(width: number, window: number): number {
  return width < WIDE ? Math.max(WIDE, Math.min(1_320, window - LEFT_FOR_CANVAS)) : USUAL.panelWidth;
}

export const CLOSED = {
  quick: null,
  curl: null,
  menu: null,
  isNew: false,
  json: false,
  keys: false,
  problems: false,
  find: null,
} as const;

let opened = 0;

/** Open the search for a text in the flow, or put the focus into its field. */
export function openFind(): void {
  opened += 1;
  useUi.getState().set({ find: opened });
}

export const useUi = create<Ui>()((set, get) => ({
  ...kept(),
  ...CLOSED,
  set: (patch) => set(patch),
  keep: (patch) => {
    set(patch);
    const { palette, panel, panelWidth, docked, dockHeight, jsonWidth } = get();
    localStorage.setItem(KEY, JSON.stringify({ palette, panel, panelWidth, docked, dockHeight, jsonWidth }));
  },
}));
