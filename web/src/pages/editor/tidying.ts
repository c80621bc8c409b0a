/** The layout of whole flows. Its code is loaded when it is needed: most flows have positions already. */
import { NODE } from "@/definition/size";
import type { Definition, Position } from "@/definition/types";

type Tidied = typeof import("@/definition/tidy").tidied;

const STEP = NODE.width + 100;
let loaded: Tidied | undefined;

/** Return true if no node has a position. */
export function isBare({ nodes }: Pick<Definition, "nodes">): boolean {
  return nodes.length > 0 && nodes.every((node) => node.position === undefined);
}

export async function loadTidied(): Promise<void> {
  loaded ??= (await import("@/definition/tidy")).tidied;
}

/** Load the layout if one of the flows needs it. Without an answer of the server they are shown in a row. */
export async function prepareLayout(...flows: readonly Definition[]): Promise<void> {
  if (flows.some(isBare)) await loadTidied().catch(() => undefined);
}

/** Return a position for each node, and for each note by its key. All nodes are in a row until the code is loaded. */
export const tidied: Tidied = (definition, ...rest) =>
  loaded === undefined ? inARow(definition) : loaded(definition, ...rest);

function inARow({ nodes }: Definition): Map<string, Position> {
  return new Map(nodes.map(({ id }, at) => [id, { x: at * STEP, y: 0 }]));
}
