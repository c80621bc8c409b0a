/** The user's own account: name, address, password, sessions. */

import {
  Badge,
  Button,
  Checkbox,
  Group,
  PasswordInput,
  SegmentedControl,
  Stack,
  TextInput,
  useMantineColorScheme,
} from "@mantine/core";
import { api, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { Form, useFields } from "@/ui/form";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
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
  const reload = useReload("/api/auth/session", "/api/profile/sessions");
  return api.useMutation("patch", "/api/profile", {
    onSuccess: () => {
      notify.done(done);
      after();
      void reload();
    },
  });
}

function Person() {
  const { user } = useSession();
  const { values, bind, set } = useFields({ name: user.name, email: user.email, current_password: "" });
  const change = useProfileChange("Profile saved", () => set({ current_password: "" }));
  const isNewEmail = values.email !== user.email;

  return (
    <Card title="Account">
      <Form onSubmit={() => change.mutate({ body: isNewEmail ? values : { name: values.name } })}>
        <Stack>
          <TextInput label="Name" required autoComplete="name" {...bind("name")} />
          <TextInput label="Email" type="email" required autoComplete="username" {...bind("email")} />
          {isNewEmail && (
            <PasswordInput
              label="Current password"
              description="Required to change your email address"
              required
              autoComplete="current-password"
              {...bind("current_password")}
            />
          )}
          {change.error && <Refused error={change.error} />}
          <Group>
            <Button type="submit" disabled={values.name === user.name && !isNewEmail} loading={change.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </Form>
    </Card>
  );
}

const NO_PASSWORD = { current_password: "", password: "", end_tokens: false };

function Password() {
  const { user } = useSession();
  const { values, bind, set } = useFields(NO_PASSWORD);
  const change = useProfileChange("Password changed", () => set(NO_PASSWORD));

  return (
    <Card title="Password">
      <Form onSubmit={() => change.mutate({ body: values })}>
        <input type="email" name="email" autoComplete="username" value={user.email} readOnly hidden />
        <Stack>
          <PasswordInput
            label="Current password"
            required
            autoComplete="current-password"
            {...bind("current_password")}
          />
          <PasswordInput
            label="New password"
            description="At least 8 characters. Your other sessions are logged out."
            required
            minLength={8}
            autoComplete="new-password"
            {...bind("password")}
          />
          <Checkbox
            label="Also revoke my API tokens"
            description="In all workspaces. Recommended if another person may know your password."
            checked={values.end_tokens}
            onChange={(event) => set({ end_tokens: event.currentTarget.checked })}
          />
          {change.error && <Refused error={change.error} />}
          <Group>
            <Button type="submit" loading={change.isPending}>
              Change password
            </Button>
          </Group>
        </Stack>
      </Form>
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
  const reload = useReload("/api/profile/sessions");
  const { workspaces } = useSession();
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/profile/sessions");
  const nameOf = (id: string) => workspaces.find((one) => one.id === id)?.name ?? "–";

  async function end(id: string) {
    try {
      await server.DELETE("/api/profile/sessions/{session_id}", { params: { path: { session_id: id } } });
    } catch (problem) {
      notify.refused("The session was not logged out", problem);
    } finally {
      void reload();
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
      <Quiet size="xs" p="md">
        Programs that use an API token are not listed here.
      </Quiet>
    </Card>
  );
}
