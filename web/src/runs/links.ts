type Linked = { id: string; workflow_id: string };

/** Return the id of the agent if it ran on its own, outside a flow; else undefined. */
export function agentOf({ workflow_id }: Pick<Linked, "workflow_id">): string | undefined {
  return workflow_id.startsWith("agent:") ? workflow_id.slice("agent:".length) : undefined;
}

/** Return the address of what ran: the flow, or the agent. */
export function definitionAt(run: Pick<Linked, "workflow_id">): string {
  const agent = agentOf(run);
  return agent === undefined ? `/flows/${run.workflow_id}` : `/agents/${encodeURIComponent(agent)}`;
}

/** Return the address of the editor with this run on its canvas and this node selected; of an agent, its page. */
export function inEditor(run: Linked, node: string | null | undefined): string {
  if (agentOf(run) !== undefined) return definitionAt(run);
  const query = new URLSearchParams({ ...(node ? { node } : {}), run: run.id });
  return `/flows/${run.workflow_id}?${query}`;
}
