/** The input that each flow was given last on this device. */
import type { Json } from "@/definition/types";

const inputKey = (flowId: string) => `headrace.editor.input.${flowId}`;

/** The input that was given last on this device, as JSON text; null where none was. */
export function lastInput(flowId: string): string | null {
  return localStorage.getItem(inputKey(flowId));
}

export function keepInput(flowId: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(inputKey(flowId));
    else localStorage.setItem(inputKey(flowId), text);
  } catch {
    localStorage.removeItem(inputKey(flowId)); // Too large to be kept: next time it is typed again.
  }
}

/** The input that was given last; null where none was, or where what was kept is no JSON. */
export function lastValue(flowId: string): Json {
  try {
    return JSON.parse(lastInput(flowId) ?? "null") as Json;
  } catch {
    return null;
  }
}
