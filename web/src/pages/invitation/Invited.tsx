/** The invitation page for a visitor who is not logged in: create an account or log in. */
import { Anchor, Button, Center, Group, Paper, PasswordInput, Stack, TextInput, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api } from "@/api/client";
import mark from "@/app/mark.svg?inline";
import { Login } from "@/pages/login/Login";
import { Form, useFields } from "@/ui/form";
import { Refused } from "@/ui/states";
import { About, type Invitation, NoInvitation, useInvitation } from "./About";
import { forgetToken } from "./token";

export default function Invited() {
  useDocumentTitle("Invitation · Headrace");
  const { token, invitation, error, retry } = useInvitation();
  const [logsIn, setLogsIn] = useState(false);
  if (logsIn && invitation !== undefined) {
    return (
      <Login
        email={invitation.email}
        about={`Log in as ${invitation.email} to accept the invitation.`}
        onBack={() => setLogsIn(false)}
      />
    );
  }
  return (
    <Center component="main" mih="100dvh" p="md">
      <Paper w={440} p="xl" withBorder bg="var(--card)">
        <Stack>
          <Group gap="sm" wrap="nowrap">
            <img src={mark} alt="" width={32} height={32} />
            <Title order={1}>{invitation === undefined ? "Invitation" : "You are invited"}</Title>
          </Group>
          {token === null || invitation === undefined ? (
            <NoInvitation
              token={token}
              error={error}
              retry={retry}
              action={
                <Button component={Link} href="/" variant="default">
                  Log in
                </Button>
              }
            />
          ) : (
            <>
              <About invitation={invitation} />
              <NewAccount token={token} invitation={invitation} />
              <Anchor component="button" type="button" size="sm" onClick={() => setLogsIn(true)}>
                I already have an account
              </Anchor>
            </>
          )}
        </Stack>
      </Paper>
    </Center>
  );
}

function NewAccount({ token, invitation }: { token: string; invitation: Invitation }) {
  const client = useQueryClient();
  const [, go] = useLocation();
  const { values, bind } = useFields({ name: "", password: "" });
  const redeem = api.useMutation("post", "/api/invitations/redeem", {
    onSuccess: async () => {
      forgetToken();
      go("/");
      await client.resetQueries();
    },
  });

  return (
    <Form onSubmit={() => redeem.mutate({ body: { token, ...values } })}>
      <Stack>
        <TextInput
          label="Email"
          description="You use it to log in"
          type="email"
          autoComplete="username"
          readOnly
          value={invitation.email}
        />
        <TextInput label="Your name" required maxLength={200} autoComplete="name" {...bind("name")} />
        <PasswordInput
          label="Password"
          description="At least 8 characters"
          required
          minLength={8}
          autoComplete="new-password"
          {...bind("password")}
        />
        {redeem.error && <Refused error={redeem.error} />}
        <Button type="submit" loading={redeem.isPending}>
          Create account and join
        </Button>
      </Stack>
    </Form>
  );
}
