/** Loading, empty and error states of a page. */
import { Alert, Button, Center, Group, Loader, Skeleton, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconPlugConnectedX } from "@tabler/icons-react";
import { Component, type ReactNode } from "react";
import { ApiError, UNREACHABLE } from "@/api/client";

export function Loading({ label, fill = false }: { label: string; fill?: boolean }) {
  return (
    <Center mih={fill ? "60vh" : 120} role="status" aria-live="polite">
      <Group gap="sm">
        <Loader size="sm" />
        <Text c="var(--quiet)">{label}</Text>
      </Group>
    </Center>
  );
}

/** Placeholder rows while a list loads. */
export function LoadingRows({ rows = 6 }: { rows?: number }) {
  return (
    <Stack gap="xs" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are identical and never move
        <Skeleton key={row} height={38} radius="sm" />
      ))}
    </Stack>
  );
}

interface EmptyProps {
  title: string;
  hint?: ReactNode;
  icon?: ReactNode;
  /** Buttons that help to continue. */
  action?: ReactNode;
}

export function Empty({ title, hint, icon, action }: EmptyProps) {
  return (
    <Center py={56} px="md">
      <Stack align="center" gap="xs" maw={460}>
        {icon}
        <Title order={2} ta="center">
          {title}
        </Title>
        {hint !== undefined && (
          <Text c="var(--quiet)" ta="center">
            {hint}
          </Text>
        )}
        {action !== undefined && (
          <Group mt="sm" justify="center">
            {action}
          </Group>
        )}
      </Stack>
    </Center>
  );
}

interface RefusedProps {
  error: unknown;
  title?: string;
  onRetry?: () => void;
}

/** An error with the server's message, and a button to retry. */
export function Refused({ error, title = "Something went wrong", onRetry }: RefusedProps) {
  const message = messageOf(error);
  const away = error instanceof ApiError && (error.status === 0 || message === UNREACHABLE);
  const details = (error instanceof ApiError ? error.details : [])
    .map((detail) => `${detail.path}: ${detail.message}`)
    .filter((detail) => !message.includes(detail));
  return (
    <Alert
      color="red"
      variant="light"
      my="md"
      title={away ? "The server cannot be reached" : title}
      icon={away ? <IconPlugConnectedX aria-hidden /> : <IconAlertTriangle aria-hidden />}
    >
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{message}</Text>
        {details.map((detail) => (
          <Text size="sm" key={detail}>
            {detail}
          </Text>
        ))}
        {onRetry !== undefined && (
          <Button size="xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "An unexpected error occurred";
}

/** Contain an error in one part of the page, so that the rest stays usable. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <Refused error={this.state.error} onRetry={() => this.setState({ error: null })} />;
  }
}
