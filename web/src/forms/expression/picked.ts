/** Picked fields: dragged from the data of a run, or inserted into the setting that had the focus last. */
import { type Path, pathText, type Scope } from "./scope";

const FORMAT = "application/x-headrace-path";

interface Dragged {
  dataTransfer: DataTransfer | null;
}

/** Put the path into the drag, and its expression for fields outside the form. */
export function startDrag(event: Dragged, path: Path): void {
  if (event.dataTransfer === null) return;
  event.dataTransfer.setData(FORMAT, JSON.stringify(path));
  event.dataTransfer.setData("text/plain", `{{ ${pathText(path)} }}`);
  event.dataTransfer.effectAllowed = "copy";
}

/** Return true if the drag has a path. Its value is readable only when it is dropped. */
export function dragsPath(event: Dragged): boolean {
  return event.dataTransfer?.types.includes(FORMAT) ?? false;
}

export function droppedPath(event: Dragged): Path | undefined {
  const text = event.dataTransfer?.getData(FORMAT) ?? "";
  return text === "" ? undefined : (JSON.parse(text) as Path);
}

/** Return the path as this setting sees it: within a loop, a field of an item of the list is a field of `item`. */
export function pathIn(scope: Pick<Scope, "perItem" | "list">, path: Path): Path {
  const { perItem, list } = scope;
  if (!perItem || list === undefined || path.length <= list.length) return path;
  const isItem = list.every((part, at) => path[at] === part) && typeof path[list.length] === "number";
  return isItem ? ["item", ...path.slice(list.length + 1)] : path;
}

type Insert = (path: Path) => void;

let target: Insert | null = null;

/** Remember the setting that has the focus. */
export function setTarget(insert: Insert): void {
  target = insert;
}

/** Forget it when its form disappears. */
export function clearTarget(insert: Insert): void {
  if (target === insert) target = null;
}

/** Insert the path into the setting that had the focus last. Return false if there is none. */
export function insertPicked(path: Path): boolean {
  target?.(path);
  return target !== null;
}
