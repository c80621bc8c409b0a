/** The user's own account: name, address, password, sessions. */
import {
  Badge,
  Button,
  Checkbox,
  Group,
  PasswordInput,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
  useMantineColorScheme,
} from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, server } from "@/api/client";
import { useSession } from "@/app/session";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";

export default function Profile() {
  return (
    <Page title="Profile" width={760}>
      <Person />
      <Password />
      <Appearance />
      <Sessions />
    </Page>
  );
}

function useProfileChange(done: string, after: () => void) {
  const client = useQueryClient();
  return api.useMutation("patch", "/api/profile", {
    onSuccess: () => {
      notify.done(done);
      after();
      void client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] });
      void client.invalidateQueries({ queryKey: ["get", "/api/profile/sessions"] });
    },
  });
}

function Person() {
  const { user } = useSession();
  const [name, setName] = useState(user.name);
  const [email, setEmail] = useState(user.email);
  const [current, setCurrent] = useState("");
  const change = useProfileChange("Profile saved", () => setCurrent(""));
  const isNewEmail = email !== user.email;

  function submit(event: FormEvent) {
    event.preventDefault();
    change.mutate({ body: { name, ...(isNewEmail && { email, current_password: current }) } });
  }

  return (
    <Card title="Account">
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Name"
            required
            autoComplete="name"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <TextInput
            label="Email"
            type="email"
            required
            autoComplete="username"
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          {isNewEmail && (
            <PasswordInput
              label="Current password"
              description="Required to change your email address"
              required
              autoComplete="current-password"
              value={current}
              onChange={(event) => setCurrent(event.currentTarget.value)}
            />
          )}
          {change.error && <Refused error={change.error} />}
          <Group>
            <Button type="submit" disabled={name === user.name && !isNewEmail} loading={change.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function Password() {
  const { user } = useSession();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [endsTokens, setEndsTokens] = useState(false);
  const change = useProfileChange("Password changed", () => {
    setCurrent("");
    setPassword("");
    setEndsTokens(false);
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    change.mutate({ body: { password, current_password: current, end_tokens: endsTokens } });
  }

  return (
    <Card title="Password">
      <form onSubmit={submit}>
        <input type="email" name="email" autoComplete="username" value={user.email} readOnly hidden />
        <Stack>
          <PasswordInput
            label="Current password"
            required
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
          />
          <PasswordInput
            label="New password"
            description="At least 8 characters. Your other sessions are logged out."
            required
            minLength={8}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Checkbox
            label="Also revoke my API tokens"
            description="In all workspaces. Recommended if another person may know your password."
            checked={endsTokens}
            onChange={(event) => setEndsTokens(event.currentTarget.checked)}
          />
          {change.error && <Refused error={change.error} />}
          <Group>
            <Button type="submit" loading={change.isPending}>
              Change password
            </Button>
          </Group>
        </Stack>
      </form>
    </Card>
  );
}

function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Card title="Appearance">
      <SegmentedControl
        aria-label="Appearance"
        value={colorScheme}
        onChange={(value) => setColorScheme(value as typeof colorScheme)}
        data={[
          { value: "light", label: "Light" },
          { value: "dark", label: "Dark" },
          { value: "auto", label: "System" },
        ]}
      />
    </Card>
  );
}

function Sessions() {
  const client = useQueryClient();
  const { workspaces } = useSession();
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/profile/sessions");
  const nameOf = (id: string) => workspaces.find((one) => one.id === id)?.name ?? "–";

  async function end(id: string) {
    try {
      await server.DELETE("/api/profile/sessions/{session_id}", { params: { path: { session_id: id } } });
    } catch (problem) {
      notify.refused("The session was not logged out", problem);
    } finally {
      void client.invalidateQueries({ queryKey: ["get", "/api/profile/sessions"] });
    }
  }

  return (
    <Card title="Sessions" pad={false}>
      {isPending && <LoadingRows rows={2} />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {data && (
        <Table label="Sessions" head={["Logged in", "Expires", "Workspace", ""]}>
          {data.items.map((session) => (
            <Tr key={session.id}>
              <Td>
                <Time at={session.created_at} />
              </Td>
              <Td>
                <Time at={session.expires_at} />
              </Td>
              <Td>{nameOf(session.workspace_id)}</Td>
              <Actions>
                {session.current ? (
                  <Badge variant="light" tt="none">
                    This device
                  </Badge>
                ) : (
                  <Button size="compact-xs" variant="default" onClick={() => void end(session.id)}>
                    Log out
                  </Button>
                )}
              </Actions>
            </Tr>
          ))}
        </Table>
      )}
      <Text size="xs" c="var(--quiet)" p="md">
        Programs that use an API token are not listed here.
      </Text>
    </Card>
  );
}
