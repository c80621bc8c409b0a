/** The form state of an agent's definition. JSON fields stay text until they are saved, so that no input is lost. */
import type { Schemas } from "@/api/client";

export interface AgentDraft {
  name: string;
  description: string;
  instructions: string;
  model: string;
  credential: string;
  memory: boolean;
  tools: string;
  limits: string;
  output_schema: string;
  approval: string;
}

const BLANK: AgentDraft = {
  name: "",
  description: "",
  instructions: "",
  model: "",
  credential: "",
  memory: false,
  tools: "[]",
  limits: "",
  output_schema: "",
  approval: "",
};

function text(value: unknown): string {
  return value === null || value === undefined ? "" : JSON.stringify(value, null, 2);
}

export function draftOf(agent: Schemas["AgentOut"] | null): AgentDraft {
  if (agent === null) return BLANK;
  return {
    name: agent.name,
    description: agent.description,
    instructions: agent.instructions,
    model: agent.model ?? "",
    credential: agent.credential ?? "",
    memory: agent.memory,
    tools: text(agent.tools),
    limits: text(agent.limits),
    output_schema: text(agent.output_schema),
    approval: text(agent.approval),
  };
}

/** Raised if a field holds invalid JSON; the message is shown to the user. */
export class NoJson extends Error {}

function read(field: string, written: string): unknown {
  if (written.trim() === "") return null;
  try {
    return JSON.parse(written);
  } catch (error) {
    throw new NoJson(`Invalid JSON in ${field}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Return the request body. Throws NoJson if a field cannot be parsed. */
export function bodyOf(draft: AgentDraft): Schemas["AgentIn"] {
  return {
    name: draft.name,
    description: draft.description || null,
    instructions: draft.instructions,
    model: draft.model || null,
    credential: draft.credential || null,
    memory: draft.memory,
    tools: read("Tools", draft.tools) ?? [],
    limits: read("Limits", draft.limits),
    output_schema: read("Output schema", draft.output_schema),
    approval: read("Approval", draft.approval),
  } as Schemas["AgentIn"];
}
