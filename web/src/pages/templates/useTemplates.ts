import { useQueryClient } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { keepInput } from "@/runs/input/lastInput";
import { notify } from "@/ui/notify";
import type { Template } from "./templates";

/** The templates of the server; they change only when it is started anew. */
export function useTemplates() {
  return api.useQuery("get", "/api/templates", {}, { staleTime: 10 * 60_000 });
}

/** Makes a draft of a template and opens it in the editor, where "Run" gives it the sample until it is given another. */
export function useTakeTemplate() {
  const client = useQueryClient();
  const [, go] = useLocation();
  const taking = api.useMutation("post", "/api/templates/{name}/use", {
    onError: (error: unknown) => notify.refused("The template could not be used", error),
  });
  async function take({ id, sample_input: sample }: Template) {
    const flow = await taking.mutateAsync({ params: { path: { name: id } }, body: {} });
    if (sample !== null) keepInput(flow.id, JSON.stringify(sample, null, 2));
    void client.invalidateQueries({ queryKey: ["get", "/api/flows"] });
    go(`/flows/${flow.id}`);
  }
  // Why it was refused is told already.
  return {
    take: (template: Template) => void take(template).catch(() => undefined),
    isTaking: taking.isPending,
  };
}
