/**
 * The set-up page, for a user whose password was set by another: the first owner of a server, who also names the
 * workspace, and members whose account or password an admin made.
 */
import {
  Anchor,
  Button,
  Center,
  Group,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useState } from "react";
import { server } from "@/api/client";
import mark from "@/app/mark.svg?inline";
import { useSession } from "@/app/session";
import { Refused } from "@/ui/states";
import { OverPage } from "./OverPage";
import { forgetTyped, typedJustNow } from "./typed";

/** The server's name for its first workspace, unless it was renamed. */
const UNNAMED = "Main";

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

/** Replaces the pages at the first login. */
export function SetUp() {
  useDocumentTitle("Set up · Headrace");
  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper w={440} p="xl" withBorder bg="var(--card)">
        <SetUpForm />
      </Paper>
    </Center>
  );
}

/** Covers an open page after the password was reset and the user logged in again there. */
export function SetUpAgain() {
  const heading = useId();
  return (
    <OverPage label={heading}>
      <Center component="main" mih="100%" p="md">
        <Paper w={440} p="xl" withBorder bg="var(--card)">
          <SetUpForm heading={heading} />
        </Paper>
      </Center>
    </OverPage>
  );
}

function useChosen() {
  const { user, workspace, may } = useSession();
  const [chosen, setChosen] = useState<Chosen>({
    workspace: workspace.name,
    name: user.name,
    email: user.email,
    current: typedJustNow(),
    password: "",
  });
  const [isKnown] = useState(chosen.current !== "");
  const [isFirst] = useState(may("owner") && workspace.name === UNNAMED);
  useEffect(forgetTyped, []);
  const set = (part: Partial<Chosen>) => setChosen({ ...chosen, ...part });
  return { chosen, set, isKnown, isFirst };
}

function SetUpForm({ heading }: { heading?: string }) {
  const { logOut } = useSession();
  const { finish, error, busy } = useSetUp();
  const { chosen, set, isKnown, isFirst } = useChosen();

  function submit(event: FormEvent) {
    event.preventDefault();
    void finish(chosen);
  }

  return (
    <form onSubmit={submit}>
      <Stack>
        <Group gap="sm" wrap="nowrap">
          <img src={mark} alt="" width={32} height={32} />
          <Title order={1} id={heading}>
            {isFirst ? "Welcome to Headrace" : "Choose your password"}
          </Title>
        </Group>
        <Text size="sm" c="var(--quiet)">
          {isFirst
            ? "Choose your own password and name your workspace."
            : "You logged in with a password that an administrator set. Choose one that only you know."}
        </Text>
        {isFirst && (
          <TextInput
            label="Workspace"
            description="For example the name of your team"
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
          description="You use it to log in"
          type="email"
          required
          autoComplete="username"
          value={chosen.email}
          onChange={(event) => set({ email: event.currentTarget.value })}
        />
        {(!isKnown || error !== null) && (
          <PasswordInput
            label="Password you logged in with"
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
          data-autofocus={isFirst ? undefined : true}
          value={chosen.password}
          onChange={(event) => set({ password: event.currentTarget.value })}
        />
        {error !== null && <Refused error={error} />}
        <Button type="submit" loading={busy}>
          Continue
        </Button>
        <Anchor component="button" type="button" size="sm" onClick={() => void logOut()}>
          Log out
        </Anchor>
      </Stack>
    </form>
  );
}
