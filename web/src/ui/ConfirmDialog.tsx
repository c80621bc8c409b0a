import { ActionIcon, Button, Group, Modal, Stack, Text, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconTrash } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useAttempt } from "./form";
import { Refused } from "./states";

interface Question {
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

interface ConfirmDialogProps extends Question {
  opened: boolean;
  onClose: () => void;
}

/** Ask for confirmation before an action that is hard to undo. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { opened, onClose, title, children, action, danger = false, onConfirm } = props;
  const { busy, error, setError, attempt } = useAttempt();

  function close() {
    if (busy) return;
    setError(null);
    onClose();
  }
  const confirm = () =>
    attempt(async () => {
      await onConfirm();
      onClose();
    });

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

interface RemoveButtonProps extends Omit<Question, "danger"> {
  /** The name of the button. */
  label: string;
  hint?: string;
  icon?: ReactNode;
}

/** The red button of a row that removes it, after a confirmation. */
export function RemoveButton(props: RemoveButtonProps) {
  const { label, hint, icon = <IconTrash size={18} aria-hidden />, ...question } = props;
  const [asked, asking] = useDisclosure(false);
  return (
    <>
      <Tooltip label={hint} disabled={hint === undefined}>
        <ActionIcon variant="subtle" color="red" aria-label={label} onClick={asking.open}>
          {icon}
        </ActionIcon>
      </Tooltip>
      <ConfirmDialog {...question} opened={asked} onClose={asking.close} danger />
    </>
  );
}
