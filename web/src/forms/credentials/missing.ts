import type { Detail } from "@/api/client";
import type { Json } from "@/definition/types";
import { faultsOf } from "../validator";

/** The values that a type requires and that are not there, before it is worth asking the server. */
export function missingValues(schema: unknown, data: Record<string, Json>): Detail[] {
  return faultsOf(schema, data)
    .filter((fault) => fault.name === "required")
    .map((fault) => ({ path: `data${fault.property}`, message: "Is required" }));
}
