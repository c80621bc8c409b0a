import { ActionIcon, Button, Group, Menu } from "@mantine/core";
import { IconChevronDown, IconClock, IconGitCompare, IconTag, IconTrash } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { lazily } from "@/ui/lazily";
import { useEditor, useEditorStore } from "../context";
import type { DraftDialog } from "../saving/DraftDialogs";
import { publishDraft, wordsFor } from "../saving/publishing";
import { useSaver } from "../saving/useSaving";
import { isUnpublished } from "../store";

const DraftDialogs = lazily(() => import("../saving/DraftDialogs"));

/** Publish the draft, name it, publish it at a time, compare or discard it. Shown while there are changes. */
export function PublishButton() {
  const store = useEditorStore();
  const saver = useSaver();
  const status = useEditor((state) => state.flow.status);
  const version = useEditor((state) => state.version);
  const unpublished = useEditor(isUnpublished);
  const readOnly = useEditor((state) => state.readOnly);
  const [busy, setBusy] = useState(false);
  const [dialog, setDialog] = useState<DraftDialog | null>(null);
  const words = wordsFor(status);

  async function publish() {
    setBusy(true);
    await publishDraft(store, saver).finally(() => setBusy(false));
  }

  return (
    <>
      {unpublished && !readOnly && (
        <Group gap={0} wrap="nowrap" style={{ flexShrink: 0 }}>
          <Button
            size="sm"
            variant="light"
            px="sm"
            loading={busy}
            onClick={() => void publish()}
            style={{ borderTopRightRadius: 0, borderBottomRightRadius: 0 }}
          >
            {words.action}
          </Button>
          <Menu position="bottom-end" shadow="md" width={250}>
            <Menu.Target>
              <ActionIcon
                size={36}
                w={28}
                variant="light"
                aria-label="More about the draft"
                style={{ borderTopLeftRadius: 0, borderBottomLeftRadius: 0, marginLeft: 1 }}
              >
                <IconChevronDown size={16} aria-hidden />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                leftSection={<IconGitCompare size={16} aria-hidden />}
                onClick={() => setDialog("compare")}
              >
                Compare with version {version}
              </Menu.Item>
              <Menu.Item leftSection={<IconTag size={16} aria-hidden />} onClick={() => setDialog("name")}>
                {words.action} with a name…
              </Menu.Item>
              <Menu.Item leftSection={<IconClock size={16} aria-hidden />} onClick={() => setDialog("time")}>
                {words.action} at a time…
              </Menu.Item>
              <Menu.Divider />
              <Menu.Item
                color="red"
                leftSection={<IconTrash size={16} aria-hidden />}
                onClick={() => setDialog("discard")}
              >
                Discard changes…
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </Group>
      )}
      {dialog !== null && (
        <Suspense>
          <DraftDialogs dialog={dialog} onClose={() => setDialog(null)} />
        </Suspense>
      )}
    </>
  );
}
