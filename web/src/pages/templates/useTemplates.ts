import { useLocation } from "wouter";
import { api } from "@/api/client";
import { useReload } from "@/api/queries";
import { keepInput } from "@/runs/input/lastInput";
import { notify } from "@/ui/notify";
import type { Template } from "./templates";

/** Return the server's templates. They change only when the server restarts. */
export function useTemplates() {
  return api.useQuery("get", "/api/templates", {}, { staleTime: 10 * 60_000 });
}

/** Create a flow from a template and open it in the editor, where the first run uses the template's sample input. */
export function useTakeTemplate() {
  const reload = useReload("/api/flows");
  const [, go] = useLocation();
  const taking = api.useMutation("post", "/api/templates/{name}/use", {
    onError: (error: unknown) => notify.refused("The template could not be used", error),
  });
  async function take({ id, sample_input: sample }: Template) {
    const flow = await taking.mutateAsync({ params: { path: { name: id } }, body: {} });
    if (sample !== null) keepInput(flow.id, JSON.stringify(sample, null, 2));
    void reload();
    go(`/flows/${flow.id}`);
  }
  // The error is already shown.
  return {
    take: (template: Template) => void take(template).catch(() => undefined),
    isTaking: taking.isPending,
  };
}
