/** The first minutes of a server: its password was made up, so its owner chooses their own, and names things. */
import { Button, Center, Group, Paper, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { server } from "@/api/client";
import mark from "@/app/mark.svg";
import { useSession } from "@/app/session";
import { Refused } from "@/ui/states";
import { forgetTyped, typedJustNow } from "./typed";

interface Chosen {
  workspace: string;
  name: string;
  email: string;
  current: string;
  password: string;
}

function useSetUp() {
  const { workspace, may } = useSession();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  async function finish(chosen: Chosen) {
    setBusy(true);
    setError(null);
    try {
      if (may("owner") && chosen.workspace !== workspace.name) {
        const params = { path: { workspace: workspace.id } };
        await server.PATCH("/api/workspaces/{workspace}", { params, body: { name: chosen.workspace } });
      }
      const { name, email, password, current } = chosen;
      await server.PATCH("/api/profile", { body: { name, email, password, current_password: current } });
      await client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }

  return { finish, error, busy };
}

export function SetUp() {
  useDocumentTitle("Set up · Headrace");
  const { user, workspace, may } = useSession();
  const { finish, error, busy } = useSetUp();
  const [chosen, setChosen] = useState<Chosen>({
    workspace: workspace.name,
    name: user.name,
    email: user.email,
    current: typedJustNow(),
    password: "",
  });
  const [isKnown] = useState(chosen.current !== "");
  useEffect(forgetTyped, []);
  const set = (part: Partial<Chosen>) => setChosen({ ...chosen, ...part });

  function submit(event: FormEvent) {
    event.preventDefault();
    void finish(chosen);
  }

  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper w={440} p="xl" withBorder bg="var(--card)">
        <form onSubmit={submit}>
          <Stack>
            <Group gap="sm" wrap="nowrap">
              <img src={mark} alt="" width={32} height={32} />
              <Title order={1}>Welcome to Headrace</Title>
            </Group>
            <Text size="sm" c="var(--quiet)">
              Your password was made up by the server. Choose your own, and say how things are called.
            </Text>
            {may("owner") && (
              <TextInput
                label="Workspace"
                description="Your team, for instance"
                required
                value={chosen.workspace}
                onChange={(event) => set({ workspace: event.currentTarget.value })}
              />
            )}
            <TextInput
              label="Your name"
              required
              autoComplete="name"
              value={chosen.name}
              onChange={(event) => set({ name: event.currentTarget.value })}
            />
            <TextInput
              label="Email"
              description="You log in with it"
              type="email"
              required
              autoComplete="username"
              value={chosen.email}
              onChange={(event) => set({ email: event.currentTarget.value })}
            />
            {(!isKnown || error !== null) && (
              <PasswordInput
                label="Password of the first login"
                required
                autoComplete="current-password"
                value={chosen.current}
                onChange={(event) => set({ current: event.currentTarget.value })}
              />
            )}
            <PasswordInput
              label="New password"
              description="At least 8 characters"
              required
              minLength={8}
              autoComplete="new-password"
              value={chosen.password}
              onChange={(event) => set({ password: event.currentTarget.value })}
            />
            {error !== null && <Refused error={error} />}
            <Button type="submit" loading={busy}>
              Begin
            </Button>
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
