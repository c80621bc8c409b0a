import type { Detail } from "@/api/client";
import type { Json } from "@/definition/types";
import { faultsOf } from "../validator";

/** Return the required values that are missing, to report them without asking the server. */
export function missingValues(schema: unknown, data: Record<string, Json>): Detail[] {
  return faultsOf(schema, data)
    .filter((fault) => fault.name === "required")
    .map((fault) => ({ path: `data${fault.property}`, message: "This field is required" }));
}
