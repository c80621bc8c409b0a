import { type ReactNode, useState } from "react";
import { ConfirmDialog } from "./ConfirmDialog";

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

/** A button with the question that it asks first. */
export function Confirm({ title, body, verb, danger = true, onConfirm, children }: ConfirmProps) {
  const [opened, setOpened] = useState(false);
  return (
    <>
      {children(() => setOpened(true))}
      <ConfirmDialog
        opened={opened}
        onClose={() => setOpened(false)}
        title={title}
        action={verb}
        danger={danger}
        onConfirm={onConfirm}
      >
        {body}
      </ConfirmDialog>
    </>
  );
}
