/** The last input of each flow, kept on this device. */
import type { Json } from "@/definition/types";

const inputKey = (flowId: string) => `headrace.editor.input.${flowId}`;

/** Return the last input as JSON text; null if there is none. */
export function lastInput(flowId: string): string | null {
  return localStorage.getItem(inputKey(flowId));
}

export function keepInput(flowId: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(inputKey(flowId));
    else localStorage.setItem(inputKey(flowId), text);
  } catch {
    localStorage.removeItem(inputKey(flowId)); // Too large to keep: the user must enter it again next time.
  }
}

/** Return the last input; null if there is none or the kept text is not JSON. */
export function lastValue(flowId: string): Json {
  try {
    return JSON.parse(lastInput(flowId) ?? "null") as Json;
  } catch {
    return null;
  }
}
