import { api, type Schemas } from "@/api/client";
import { LIVE } from "@/api/queries";

const PAST: Record<string, string> = { approved: "approved this", rejected: "rejected this" };

/** Return a sentence about the answer in a step's output; null if the output contains none. */
export function answerIn(output: unknown): string | null {
  if (typeof output !== "object" || output === null) return null;
  const { answer, by } = output as { answer?: unknown; by?: unknown };
  if (answer === "timeout") return "No one answered in time.";
  if (typeof answer !== "string" || typeof by !== "string") return null;
  // Keep an email address as it is; capitalize "a signed link".
  const who = by.includes("@") ? by : `${by.charAt(0).toUpperCase()}${by.slice(1)}`;
  return `${who} ${PAST[answer] ?? `answered “${answer}”`}.`;
}

/** Return a sentence about who answered a node of a run; undefined until that is recorded. */
export function useWhoAnswered(run: string, node: string): string | null | undefined {
  const { data } = api.useQuery(
    "get",
    "/api/runs/{run}/steps",
    { params: { path: { run }, query: { node_id: node } } },
    {
      refetchInterval: (query) =>
        ended(query.state.data as Schemas["StepOutList"] | undefined) ? false : LIVE,
    },
  );
  return ended(data) ? answerIn(data?.items.at(-1)?.output) : undefined;
}

function ended(steps: Schemas["StepOutList"] | undefined): boolean {
  return steps?.items.at(-1)?.status === "success";
}
