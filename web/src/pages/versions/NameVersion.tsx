import { Button, Textarea, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconTag } from "@tabler/icons-react";
import { useSession } from "@/app/session";
import { FormDialog } from "@/ui/FormDialog";
import type { Fields } from "@/ui/form";

import { useNaming, type Version } from "./versions";

/** Set the name of a version and the note about it. */
export function NameVersion({ id, version }: { id: string; version: Version }) {
  const { may } = useSession();
  const save = useNaming(id);
  const [asking, dialog] = useDisclosure(false);
  if (!may("editor")) return null;
  return (
    <>
      <Button size="xs" variant="default" leftSection={<IconTag size={16} aria-hidden />} onClick={dialog.open}>
        {version.name === null ? "Name" : "Rename"}
      </Button>
      <FormDialog
        opened={asking}
        onClose={dialog.close}
        title={`Name of version ${version.version}`}
        centered={false}
        action="Save"
        initial={{ name: version.name ?? "", note: version.note ?? "" }}
        onSubmit={({ name, note }) => save(version.version, { name: name.trim() || null, note: note.trim() || null })}
      >
        {({ bind }) => <VersionFields bind={bind} />}
      </FormDialog>
    </>
  );
}

interface VersionFieldsProps {
  bind: Fields<{ name: string; note: string }>["bind"];
  placeholder?: string;
}

export function VersionFields({ bind, placeholder }: VersionFieldsProps) {
  return (
    <>
      <TextInput
        label="Name of the version"
        placeholder={placeholder}
        maxLength={100}
        data-autofocus
        {...bind("name")}
      />
      <Textarea
        label="Note"
        placeholder={placeholder}
        maxLength={2_000}
        autosize
        minRows={2}
        maxRows={6}
        {...bind("note")}
      />
    </>
  );
}
