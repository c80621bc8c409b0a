import { useQueryClient } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { notify } from "@/ui/notify";

/** The templates of the server; they change only when it is started anew. */
export function useTemplates() {
  return api.useQuery("get", "/api/templates", {}, { staleTime: 10 * 60_000 });
}

/** Makes a draft of a template and opens it in the editor. */
export function useTakeTemplate() {
  const client = useQueryClient();
  const [, go] = useLocation();
  const taking = api.useMutation("post", "/api/templates/{name}/use", {
    onSuccess: (flow) => {
      void client.invalidateQueries({ queryKey: ["get", "/api/flows"] });
      go(`/flows/${flow.id}`);
    },
    onError: (error: unknown) => notify.refused("The template could not be used", error),
  });
  return {
    take: (id: string) => taking.mutate({ params: { path: { name: id } }, body: {} }),
    isTaking: taking.isPending,
  };
}
