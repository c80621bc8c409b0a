import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Refused } from "./states";

interface ConfirmDialogProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** The consequences of the action. */
  children?: ReactNode;
  /** The verb on the button. */
  action: string;
  /** True if the action loses data. */
  danger?: boolean;
  /** Do the action. The dialog closes when it succeeds and shows what it throws. */
  onConfirm: () => unknown;
}

/** Ask for confirmation before an action that is hard to undo. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { opened, onClose, title, children, action, danger = false, onConfirm } = props;
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  function close() {
    if (busy) return;
    setError(null);
    onClose();
  }
  async function confirm() {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Modal opened={opened} onClose={close} title={title} centered>
      <Stack>
        {children !== undefined && (
          <Text size="sm" component="div">
            {children}
          </Text>
        )}
        {error !== null && <Refused error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={close} disabled={busy} data-autofocus={danger || undefined}>
            Cancel
          </Button>
          <Button
            color={danger ? "red.8" : undefined}
            loading={busy}
            onClick={() => void confirm()}
            data-autofocus={!danger || undefined}
          >
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
