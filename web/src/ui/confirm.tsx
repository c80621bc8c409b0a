/** Asking before something is done that cannot be undone. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Refused } from "./states";

interface ConfirmProps {
  /** The question, such as "Delete the credential «shop»?" */
  title: string;
  /** What happens then. */
  body?: ReactNode;
  /** The word on the button that does it. */
  verb: string;
  danger?: boolean;
  onConfirm: () => Promise<unknown>;
  /** The button that opens it, given what to do when it is pressed. */
  children: (open: () => void) => ReactNode;
}

/** A dialog that stays open, with what the server said, until it has been done. */
export function Confirm({ title, body, verb, danger = true, onConfirm, children }: ConfirmProps) {
  const [opened, setOpened] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  async function go() {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      setOpened(false);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      {children(() => {
        setError(null);
        setOpened(true);
      })}
      <Modal
        opened={opened}
        onClose={() => setOpened(false)}
        title={title}
        centered
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <Stack>
          {body !== undefined && <Text size="sm">{body}</Text>}
          {error !== null && <Refused error={error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setOpened(false)}>
              Cancel
            </Button>
            <Button
              color={danger ? "red.8" : undefined}
              loading={busy}
              onClick={() => void go()}
              data-autofocus
            >
              {verb}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
