/** The text of an invitation, and the messages shown if it cannot be used. */
import { Text } from "@mantine/core";
import { IconMailOff } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { ROLE_CHOICES } from "@/pages/workspace/roles";
import { Empty, Loading, messageOf, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { type Invitation, isGone, type useInvitation } from "./useInvitation";

export function About({ invitation }: { invitation: Invitation }) {
  const { invited_by, invited_by_email, workspace_name, role, expires_at } = invitation;
  const choice = ROLE_CHOICES.find(({ value }) => value === role);
  return (
    <div style={{ overflowWrap: "anywhere" }}>
      <Text>
        <b>{invited_by}</b> ({invited_by_email}) invites you to the workspace <b>{workspace_name}</b>.
      </Text>
      <Text size="sm" c="var(--quiet)" mt={4}>
        Your role is {choice?.label.toLowerCase() ?? role}, which {choice?.about} The invitation expires{" "}
        <Time at={expires_at} />.
      </Text>
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
      <Empty
        icon={icon}
        title="This invitation is no longer valid"
        hint={`${messageOf(error)}.`}
        action={action}
      />
    );
  }
  return error ? <Refused error={error} onRetry={retry} /> : <Loading label="Loading the invitation" />;
}
