/** What is open in the editor: dialogs, panels and their sizes. Sizes and panels are remembered on this device. */
import { create } from "zustand";
import type { Position } from "@/definition/types";
import type { Where } from "./changes";

interface Kept {
  palette: boolean;
  panel: boolean;
  panelWidth: number;
  jsonWidth: number;
}

interface Ui extends Kept {
  /** The quick palette: where on the screen it opens, and where its node comes. */
  quick: { screen: Position; where: Where } | null;
  /** The dialog that takes a cURL command, and where its node comes. */
  curl: { where: Where; command: string } | null;
  json: boolean;
  keys: boolean;
  problems: boolean;
  set: (patch: Partial<Ui>) => void;
  keep: (patch: Partial<Kept>) => void;
}

const KEY = "headrace.editor";
// On a small screen the room is the graph's; the button above it, `+` and `/` offer the nodes.
const USUAL: Kept = { palette: window.innerWidth >= 1600, panel: true, panelWidth: 360, jsonWidth: 420 };

function kept(): Kept {
  try {
    return { ...USUAL, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Kept>) };
  } catch {
    return USUAL; // Somebody else wrote there; sizes are no loss.
  }
}

/** From this width of the panel on, what went into a node and what came out lie side by side in it. */
export const WIDE = 560;

/** The width of the panel that its button gives it: wide where it is narrow, else the usual one. */
export function otherWidth(width: number, window: number): number {
  return width < WIDE ? Math.max(WIDE, Math.min(760, Math.round(window / 2))) : USUAL.panelWidth;
}

export const CLOSED = { quick: null, curl: null, json: false, keys: false, problems: false } as const;

export const useUi = create<Ui>()((set, get) => ({
  ...kept(),
  ...CLOSED,
  set: (patch) => set(patch),
  keep: (patch) => {
    set(patch);
    const { palette, panel, panelWidth, jsonWidth } = get();
    localStorage.setItem(KEY, JSON.stringify({ palette, panel, panelWidth, jsonWidth }));
  },
}));
