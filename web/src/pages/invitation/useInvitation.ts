import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, type Schemas, server } from "@/api/client";
import { keptToken } from "./token";

export type Invitation = Schemas["InvitationShown"];

/** What the invitation of this tab is for. `token` is null where the tab has none. */
export function useInvitation() {
  const [token] = useState(keptToken);
  const { data, error, refetch } = useQuery({
    queryKey: ["invitation", token],
    queryFn: async () => {
      const { data: found } = await server.POST("/api/invitations/look", { body: { token: token ?? "" } });
      return found as Invitation;
    },
    enabled: token !== null,
    // It changes nowhere but here.
    staleTime: Number.POSITIVE_INFINITY,
  });
  return { token, invitation: data, error, retry: () => void refetch() };
}

/** Whether it was used or withdrawn, or its time is over. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
