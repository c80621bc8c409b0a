import { Button, Group, Modal, type ModalProps, Stack, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { type Fields, Form, useAttempt, useFields } from "./form";
import { Refused } from "./states";

/** Return the JSON value of a text, or the text itself: plain text needs no quotes. */
export function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface DialogFormProps {
  /** The verb on the button. */
  action: string;
  isReady?: boolean;
  onClose: () => void;
  /** Send the values. Throws the server's refusal, which is shown; the input stays. */
  onSubmit: () => unknown;
  children: ReactNode;
}

/** The content of a dialog with a form: its inputs, the refusal, and the buttons. */
export function DialogForm({ action, isReady = true, onClose, onSubmit, children }: DialogFormProps) {
  const { busy, error, attempt } = useAttempt();
  return (
    <Form onSubmit={() => attempt(onSubmit)}>
      <Stack>
        {children}
        {error !== null && <Refused error={error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={busy} disabled={!isReady}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Form>
  );
}

interface FieldsFormProps<Values extends object> extends Pick<DialogFormProps, "action" | "onClose"> {
  initial: Values;
  isReady?: (values: Values) => boolean;
  onSubmit: (values: Values) => unknown;
  children: (fields: Fields<Values>) => ReactNode;
}

function FieldsForm<Values extends object>(props: FieldsFormProps<Values>) {
  const { initial, isReady, onSubmit, children, ...form } = props;
  const fields = useFields(initial);
  const { values } = fields;
  async function submit() {
    await onSubmit(values);
    form.onClose();
  }
  return (
    <DialogForm {...form} isReady={isReady?.(values)} onSubmit={submit}>
      {children(fields)}
    </DialogForm>
  );
}

interface FormDialogProps<Values extends object>
  extends FieldsFormProps<Values>,
    Pick<ModalProps, "size" | "centered"> {
  title: string;
  opened?: boolean;
}

/** A dialog that asks for some values, and closes when the server has accepted them. */
export function FormDialog<Values extends object>(props: FormDialogProps<Values>) {
  const { title, opened = true, size, centered = true, ...form } = props;
  return (
    <Modal opened={opened} onClose={form.onClose} title={title} size={size} centered={centered}>
      <FieldsForm {...form} />
    </Modal>
  );
}

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
  const { initial = "", maxLength = 200, label = "Name", hint, onName, ...dialog } = props;
  return (
    <FormDialog
      {...dialog}
      initial={{ name: initial }}
      isReady={({ name }) => name.trim() !== ""}
      onSubmit={({ name }) => onName(name.trim())}
    >
      {({ bind }) => (
        <TextInput label={label} description={hint} maxLength={maxLength} required data-autofocus {...bind("name")} />
      )}
    </FormDialog>
  );
}
