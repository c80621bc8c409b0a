import { Button, Group, Modal, Stack, Textarea, TextInput } from "@mantine/core";
import { IconTag } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { useSession } from "@/app/session";
import { Refused } from "@/ui/states";
import { useNaming, type Version } from "./versions";

const NAME = 100;
const NOTE = 2_000;

/** Set the name of a version and the note about it. */
export function NameVersion({ id, version }: { id: string; version: Version }) {
  const { may } = useSession();
  const save = useNaming(id);
  const [asking, setAsking] = useState(false);
  const [name, setName] = useState("");
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>(null);
  if (!may("editor")) return null;

  function open() {
    setName(version.name ?? "");
    setNote(version.note ?? "");
    setError(null);
    setAsking(true);
  }
  async function submit(event: FormEvent) {
    event.preventDefault();
    try {
      await save(version.version, { name: name.trim() || null, note: note.trim() || null });
      setAsking(false);
    } catch (problem) {
      setError(problem);
    }
  }
  return (
    <>
      <Button size="xs" variant="default" leftSection={<IconTag size={16} aria-hidden />} onClick={open}>
        {version.name === null ? "Name" : "Rename"}
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title={`Name of version ${version.version}`}
        size="md"
      >
        <form onSubmit={(event) => void submit(event)}>
          <Stack gap="sm">
            <TextInput
              label="Name of the version"
              maxLength={NAME}
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              data-autofocus
            />
            <Textarea
              label="Note"
              maxLength={NOTE}
              autosize
              minRows={2}
              maxRows={6}
              value={note}
              onChange={(event) => setNote(event.currentTarget.value)}
            />
            {error !== null && <Refused error={error} />}
            <Group justify="flex-end" gap="xs">
              <Button variant="default" onClick={() => setAsking(false)}>
                Cancel
              </Button>
              <Button type="submit">Save</Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
