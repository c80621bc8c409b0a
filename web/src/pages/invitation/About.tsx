/** The text of an invitation, and the messages shown if it cannot be used. */

import { Text } from "@mantine/core";
import { IconMailOff } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { ApiError, type Schemas, server } from "@/api/client";
import { ROLE_CHOICES } from "@/pages/workspace/roles";
import { Quiet } from "@/ui/Quiet";
import { Empty, Loading, messageOf, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
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
function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export function About({ invitation }: { invitation: Invitation }) {
  const { invited_by, invited_by_email, workspace_name, role, expires_at } = invitation;
  const choice = ROLE_CHOICES.find(({ value }) => value === role);
  return (
    <div style={{ overflowWrap: "anywhere" }}>
      <Text>
        <b>{invited_by}</b> ({invited_by_email}) invites you to the workspace <b>{workspace_name}</b>.
      </Text>
      <Quiet mt={4}>
        Your role is {choice?.label.toLowerCase() ?? role}, which {choice?.about} The invitation expires{" "}
        <Time at={expires_at} />.
      </Quiet>
    </div>
  );
}

interface UnusableProps extends Pick<ReturnType<typeof useInvitation>, "token" | "error" | "retry"> {
  /** Buttons shown below the message. */
  action: ReactNode;
}

/** Shown while the invitation loads, or if there is none. */
export function NoInvitation({ token, error, retry, action }: UnusableProps) {
  const icon = <IconMailOff size={40} stroke={1.4} color="var(--quiet)" aria-hidden />;
  if (token === null) {
    const hint = "Open the link in your invitation message again.";
    return <Empty icon={icon} title="Invitation link missing" hint={hint} action={action} />;
  }
  if (isGone(error)) {
    return (
      <Empty icon={icon} title="This invitation is no longer valid" hint={`${messageOf(error)}.`} action={action} />
    );
  }
  return error ? <Refused error={error} onRetry={retry} /> : <Loading label="Loading the invitation" />;
}
