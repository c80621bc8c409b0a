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
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useState } from "react";
import { api } from "@/api/client";
import mark from "@/app/mark.svg?inline";
import { useSession } from "@/app/session";
import { Refused } from "@/ui/states";
import { OverPage } from "./OverPage";
import { keepTyped } from "./typed";

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

  function submit(event: FormEvent) {
    event.preventDefault();
    logIn.mutate({ body: { email, password } });
  }

  return (
    <OverPage label={heading}>
      <Center component="main" mih="100%" p="md">
        <Paper w={420} p="xl" withBorder bg="var(--card)">
          <form onSubmit={submit}>
            <Stack>
              <Group gap="sm" wrap="nowrap">
                <img src={mark} alt="" width={32} height={32} />
                <Title order={1} id={heading}>
                  Your session has ended
                </Title>
              </Group>
              <Text size="sm" c="var(--quiet)">
                Log in again to continue where you left off. Your unsaved changes are still here.
              </Text>
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
          </form>
        </Paper>
      </Center>
    </OverPage>
  );
}
