import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, type Schemas, server } from "@/api/client";
import { keptToken } from "./token";

export type Invitation = Schemas["InvitationShown"];

/** Return the invitation of this tab. `token` is null if the tab has none. */
export function useInvitation() {
  const [token] = useState(keptToken);
  const { data, error, refetch } = useQuery({
    queryKey: ["invitation", token],
    queryFn: async () => {
      const { data: found } = await server.POST("/api/invitations/look", { body: { token: token ?? "" } });
      return found as Invitation;
    },
    enabled: token !== null,
    // It changes only on this page.
    staleTime: Number.POSITIVE_INFINITY,
  });
  return { token, invitation: data, error, retry: () => void refetch() };
}

/** Return true if the error says that the invitation was used, revoked or has expired. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
