/** Return the address of the editor with this run on its canvas and this node selected. */
export function inEditor(run: { id: string; workflow_id: string }, node: string | null | undefined): string {
  const query = new URLSearchParams({ ...(node ? { node } : {}), run: run.id });
  return `/flows/${run.workflow_id}?${query}`;
}
