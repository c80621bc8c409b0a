import { Alert, Anchor, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { Link } from "wouter";

interface Props {
  /** What is missing and what to do; null or undefined if nothing is. */
  reason: string | null | undefined;
}

/** A notice that agents have no language model yet, with the way to add one. Renders nothing without a reason. */
export function NoModel({ reason }: Props) {
  if (reason == null) return null;
  return (
    <Alert
      color="yellow"
      variant="light"
      mb="md"
      title="Agents have no language model yet"
      // Mantine's yellow has too little contrast for text.
      styles={{ title: { color: "var(--waiting)" }, icon: { color: "var(--waiting)" } }}
      icon={<IconAlertTriangle aria-hidden />}
    >
      <Text size="sm">
        {reason}{" "}
        <Anchor component={Link} href="/credentials" inherit>
          Credentials
        </Anchor>
      </Text>
    </Alert>
  );
}
