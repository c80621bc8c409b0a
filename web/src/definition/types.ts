/** A WorkflowDefinition as the app uses it. The API documentation describes the format. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Position {
  x: number;
  y: number;
}

export interface FlowNode {
  id: string;
  type: string;
  name?: string;
  config?: Record<string, Json>;
  position?: Position;
  notes?: string;
  foreach?: Json;
  concurrency?: number | null;
  delay?: number | null;
  repeat?: { until: string; every?: number; at_most?: number; for_at_most?: number | null };
  debounce?: { seconds: number; key?: string | null; keep?: "last" | "first" | "all" };
  rate?: { calls: number; per?: number; key?: string | null };
  retry?: { attempts?: number; delay?: number; backoff?: number };
  timeout?: number;
  on_error?: "fail" | "continue" | "branch";
  on_interrupt?: "retry" | "fail";
  disabled?: boolean;
}

export interface FlowEdge {
  from: string;
  to: string;
  branch?: string;
}

export interface FlowSettings {
  timezone?: string;
  timeout?: number | null;
  max_concurrent_runs?: number;
  overlap?: "queue" | "skip";
  parallel?: number;
  error_workflow_id?: string | null;
  vars?: Record<string, Json>;
  description?: string;
  /** The template that the flow was made from. */
  template?: string;
  [key: string]: Json | undefined;
}

export const COLORS = ["yellow", "blue", "green", "red", "violet", "gray"] as const;
export type Color = (typeof COLORS)[number];

/** A note on the canvas: text in limited Markdown. Runs do not read it. */
export interface FlowNote {
  id: string;
  text?: string;
  position?: Position;
  width?: number;
  height?: number;
  color?: Color;
}

/** A named frame around nodes. It follows them, so it has no position. */
export interface FlowGroup {
  id: string;
  name?: string;
  nodes: string[];
  folded?: boolean;
  color?: Color;
}

export interface Definition {
  nodes: FlowNode[];
  edges: FlowEdge[];
  settings?: FlowSettings;
  notes?: FlowNote[];
  groups?: FlowGroup[];
}

/** Sizes on the canvas, in canvas pixels. */

/** The size of a node. A node with many branches is taller. */
export const NODE = { width: 220, height: 64 };
export const GRID = 20;
/** The space between nodes. */
export const GAP = { x: 60, y: 40 };

/** Return the additional space after a node for the name of the branch that begins there, in steps of the grid. */
export function roomOf(branch: string | undefined): number {
  return branch === undefined ? 0 : Math.min(6, Math.ceil((branch.length * 7) / GRID)) * GRID;
}

export function snap(value: number): number {
  return Math.round(value / GRID) * GRID;
}
