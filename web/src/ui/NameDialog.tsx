import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { Refused } from "./states";

interface NameDialogProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  action: string;
  /** The initial name. */
  initial?: string;
  maxLength?: number;
  label?: string;
  hint?: string;
  onName: (name: string) => Promise<unknown>;
}

/** Ask for a name. If the server refuses it, the input stays. */
export function NameDialog(props: NameDialogProps) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title} centered>
      <NameForm {...props} />
    </Modal>
  );
}

function NameForm(props: NameDialogProps) {
  const { onClose, action, initial = "", maxLength = 200, label = "Name", hint, onName } = props;
  const [name, setName] = useState(initial);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onName(name.trim());
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack>
        <TextInput
          label={label}
          description={hint}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={maxLength}
          required
          data-autofocus
        />
        {error !== null && <Refused error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy} disabled={name.trim() === ""}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
