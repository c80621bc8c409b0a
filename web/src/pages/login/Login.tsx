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
import { type FormEvent, useState } from "react";
import { api } from "@/api/client";
import mark from "@/app/mark.svg?inline";
import { Refused } from "@/ui/states";
import { keepTyped } from "./typed";

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
  const logIn = api.useMutation("post", "/api/auth/login", {
    onSuccess: () => {
      keepTyped(password);
      return client.resetQueries();
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    logIn.mutate({ body: { email, password } });
  }

  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper w={380} p="xl" withBorder bg="var(--card)">
        <form onSubmit={submit}>
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
            <Text size="sm" c="var(--quiet)" style={{ overflowWrap: "anywhere" }}>
              {about ?? "Your first login is in the server's console output."}
            </Text>
            {onBack !== undefined && (
              <Anchor component="button" type="button" size="sm" onClick={onBack}>
                Back
              </Anchor>
            )}
          </Stack>
        </form>
      </Paper>
    </Center>
  );
}
