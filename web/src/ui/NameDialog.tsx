import { TextInput } from "@mantine/core";
import { FormDialog } from "./FormDialog";

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
        <TextInput
          label={label}
          description={hint}
          maxLength={maxLength}
          required
          data-autofocus
          {...bind("name")}
        />
      )}
    </FormDialog>
  );
}
