/** The invitation page for a user who is logged in: accept the invitation, or see that it is for another address. */
import { Button, Group, Stack, Text } from "@mantine/core";
import { Link, useLocation } from "wouter";
import { api } from "@/api/client";
import { useSession } from "@/app/session";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Refused } from "@/ui/states";
import { About, type Invitation, NoInvitation, useInvitation } from "./About";
import { forgetToken, INVITATION } from "./token";

export default function InvitationPage() {
  const { token, invitation, error, retry } = useInvitation();
  return (
    <Page title="Invitation" width={640}>
      {token === null || invitation === undefined ? (
        <NoInvitation
          token={token}
          error={error}
          retry={retry}
          action={
            <Button component={Link} href="/" variant="default">
              Go to dashboard
            </Button>
          }
        />
      ) : (
        <Card>
          <Stack>
            <About invitation={invitation} />
            <Answer token={token} invitation={invitation} />
          </Stack>
        </Card>
      )}
    </Page>
  );
}

function Answer({ token, invitation }: { token: string; invitation: Invitation }) {
  const { user, switchTo, logOut } = useSession();
  const [, go] = useLocation();
  const accept = api.useMutation("post", "/api/invitations/redeem", {
    onSuccess: ({ session }) => {
      forgetToken();
      go("/", { replace: true });
      switchTo(session.workspace_id);
      notify.done(`You are now a member of ${invitation.workspace_name}`);
    },
  });

  if (invitation.email !== user.email) {
    return (
      <>
        <Text size="sm">
          This invitation is for {invitation.email}, but you are logged in as {user.email}.
        </Text>
        <Group>
          <Button variant="default" onClick={() => void logOut(INVITATION)}>
            Log out and continue as {invitation.email}
          </Button>
        </Group>
      </>
    );
  }
  return (
    <>
      {accept.error && <Refused error={accept.error} />}
      <Group>
        <Button loading={accept.isPending} onClick={() => accept.mutate({ body: { token } })}>
          Accept
        </Button>
        <Button component={Link} href="/" variant="default">
          Not now
        </Button>
      </Group>
    </>
  );
}
