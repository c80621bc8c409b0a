import { Anchor, Button, Center, Group, Paper, PasswordInput, Stack, TextInput, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, type SyntheticEvent, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { useServerState } from "@/api/catalogue";
import { api, server } from "@/api/client";
import mark from "@/app/mark.svg?inline";
import { useSession } from "@/app/session";
import { Form, useAttempt, useFields } from "@/ui/form";
import { Quiet } from "@/ui/Quiet";
import { Refused } from "@/ui/states";
import { coverKeys } from "./overKeys";
import classes from "./overPage.module.css";

/** The password typed at login, kept for the set-up page that may follow, so that the user need not type it twice. */

const MOMENT = 30_000;

let typed = "";

/** Keep the password in this page's memory for a moment. */
function keepTyped(password: string): void {
  typed = password;
  setTimeout(forgetTyped, MOMENT);
}

function forgetTyped(): void {
  typed = "";
}

/** Return the password; empty if none was typed just now, for example after a reload. */
function typedJustNow(): string {
  return typed;
}

// A dialog that covers the page: nothing below can be seen or reached, but all of it stays mounted.

const stop = (event: SyntheticEvent) => event.stopPropagation();

/**
 * `label` is the id of the heading. The element with `data-autofocus` gets the focus; on close the previous element
 * gets it back.
 */
function OverPage({ label, children }: { label: string; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    if (shown === null) return;
    coverKeys(shown);
    shown.showModal();
    shown.querySelector<HTMLElement>("[data-autofocus]")?.focus();
    return () => {
      coverKeys(null);
      shown.close();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={label}
      className={classes.over}
      onCancel={(event) => event.preventDefault()}
      onKeyDown={stop}
      onCopy={stop}
      onCut={stop}
      onPaste={stop}
      // This dialog scrolls even if a dialog below locks the scrolling of the page.
      onWheel={stop}
      onTouchMove={stop}
    >
      {children}
    </dialog>
  );
}

interface LoginProps {
  email?: string;
  /** The text below the button, in place of the hint about the first login. */
  about?: string;
  onBack?: () => void;
}

export function Login({ email: known = "", about, onBack }: LoginProps) {
  useDocumentTitle("Log in · Headrace");
  const client = useQueryClient();
  const [email, setEmail] = useState(known);
  const [password, setPassword] = useState("");
  const state = useServerState();
  const logIn = api.useMutation("post", "/api/auth/login", {
    onSuccess: () => {
      keepTyped(password);
      return client.resetQueries();
    },
  });

  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper w={380} p="xl" withBorder bg="var(--card)">
        <Form onSubmit={() => logIn.mutate({ body: { email, password } })}>
          <Stack>
            <Group gap="sm">
              <img src={mark} alt="" width={32} height={32} />
              <Title order={1}>Headrace</Title>
            </Group>
            <TextInput
              label="Email"
              type="email"
              name="email"
              autoComplete="username"
              required
              autoFocus={known === ""}
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <PasswordInput
              label="Password"
              name="password"
              autoComplete="current-password"
              required
              autoFocus={known !== ""}
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
            {logIn.error && <Refused error={logIn.error} title="Login failed" />}
            <Button type="submit" loading={logIn.isPending}>
              Log in
            </Button>
            <Quiet style={{ overflowWrap: "anywhere" }}>
              {about ?? (state?.prints_login ? "Your first login is in the server's console output." : "")}
            </Quiet>
            {onBack !== undefined && (
              <Anchor component="button" type="button" size="sm" onClick={onBack}>
                Back
              </Anchor>
            )}
          </Stack>
        </Form>
      </Paper>
    </Center>
  );
}

const TITLE = "Log in · Headrace";

/** Hide the document title, which may reveal the page's content, while the login covers the page. */
function useHiddenTitle(): void {
  useEffect(() => {
    let hidden = document.title;
    function hide() {
      if (document.title === TITLE) return;
      hidden = document.title;
      document.title = TITLE;
    }
    hide();
    const observer = new MutationObserver(hide);
    observer.observe(document.head, { childList: true, subtree: true, characterData: true });
    return () => {
      observer.disconnect();
      document.title = hidden;
    };
  }, []);
}

function useLogIn() {
  const { user } = useSession();
  const client = useQueryClient();
  const [email, setEmail] = useState(user.email);
  const [password, setPassword] = useState("");
  const logIn = api.useMutation("post", "/api/auth/login", {
    onSuccess: (who) => {
      // The page below belongs to another user.
      if (who.user.id !== user.id) return window.location.reload();
      keepTyped(password);
      return client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] });
    },
  });
  const isAnother = email.trim().toLowerCase() !== user.email;
  return { email, setEmail, password, setPassword, logIn, isAnother };
}

/** Ask for the password again after the session ended under an open page. The page stays below. */
export function LogInAgain() {
  const { leave } = useSession();
  const { email, setEmail, password, setPassword, logIn, isAnother } = useLogIn();
  const heading = useId();
  useHiddenTitle();

  return (
    <OverPage label={heading}>
      <Center component="main" mih="100%" p="md">
        <Paper w={420} p="xl" withBorder bg="var(--card)">
          <Form onSubmit={() => logIn.mutate({ body: { email, password } })}>
            <Stack>
              <Group gap="sm" wrap="nowrap">
                <img src={mark} alt="" width={32} height={32} />
                <Title order={1} id={heading}>
                  Your session has ended
                </Title>
              </Group>
              <Quiet>Log in again to continue where you left off. Your unsaved changes are still here.</Quiet>
              <TextInput
                label="Email"
                description={isAnother && "Logging in as a different user discards your unsaved changes."}
                type="email"
                name="email"
                autoComplete="username"
                required
                value={email}
                onChange={(event) => setEmail(event.currentTarget.value)}
              />
              <PasswordInput
                label="Password"
                name="password"
                autoComplete="current-password"
                required
                data-autofocus
                value={password}
                onChange={(event) => setPassword(event.currentTarget.value)}
              />
              {logIn.error && <Refused error={logIn.error} title="Login failed" />}
              <Button type="submit" loading={logIn.isPending}>
                Log in
              </Button>
              <Anchor component="button" type="button" size="sm" onClick={() => leave()}>
                Log in as a different user
              </Anchor>
            </Stack>
          </Form>
        </Paper>
      </Center>
    </OverPage>
  );
}

// The set-up page, for a user whose password was set by another: the first owner of a server, who also names the
// workspace, and members whose account or password an admin made.

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
  return async (chosen: Chosen) => {
    if (may("owner") && chosen.workspace !== workspace.name) {
      const params = { path: { workspace: workspace.id } };
      await server.PATCH("/api/workspaces/{workspace}", { params, body: { name: chosen.workspace } });
    }
    const { name, email, password, current } = chosen;
    await server.PATCH("/api/profile", { body: { name, email, password, current_password: current } });
    await client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] });
  };
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
  const { values: chosen, bind } = useFields({
    workspace: workspace.name,
    name: user.name,
    email: user.email,
    current: typedJustNow(),
    password: "",
  });
  const [isKnown] = useState(chosen.current !== "");
  const [isFirst] = useState(may("owner") && workspace.name === UNNAMED);
  useEffect(forgetTyped, []);
  return { chosen, bind, isKnown, isFirst };
}

function SetUpForm({ heading }: { heading?: string }) {
  const { logOut } = useSession();
  const finish = useSetUp();
  const { busy, error, attempt } = useAttempt();
  const { chosen, bind, isKnown, isFirst } = useChosen();

  return (
    <Form onSubmit={() => attempt(() => finish(chosen))}>
      <Stack>
        <Group gap="sm" wrap="nowrap">
          <img src={mark} alt="" width={32} height={32} />
          <Title order={1} id={heading}>
            {isFirst ? "Welcome to Headrace" : "Choose your password"}
          </Title>
        </Group>
        <Quiet>
          {isFirst
            ? "Choose your own password and name your workspace."
            : "You logged in with a password that an administrator set. Choose one that only you know."}
        </Quiet>
        {isFirst && (
          <TextInput
            label="Workspace"
            description="For example the name of your team"
            required
            {...bind("workspace")}
          />
        )}
        <TextInput label="Your name" required autoComplete="name" {...bind("name")} />
        <TextInput
          label="Email"
          description="You use it to log in"
          type="email"
          required
          autoComplete="username"
          {...bind("email")}
        />
        {(!isKnown || error !== null) && (
          <PasswordInput
            label="Password you logged in with"
            required
            autoComplete="current-password"
            {...bind("current")}
          />
        )}
        <PasswordInput
          label="New password"
          description="At least 8 characters"
          required
          minLength={8}
          autoComplete="new-password"
          data-autofocus={isFirst ? undefined : true}
          {...bind("password")}
        />
        {error !== null && <Refused error={error} />}
        <Button type="submit" loading={busy}>
          Continue
        </Button>
        <Anchor component="button" type="button" size="sm" onClick={() => void logOut()}>
          Log out
        </Anchor>
      </Stack>
    </Form>
  );
}
