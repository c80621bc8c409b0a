import { Button, List, Stack, Text, Tooltip } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import { useState } from "react";
import { useSession } from "@/app/session";
import { type DefinitionDiff, diffOf, summaryOf } from "@/definition/diff";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Loading, messageOf } from "@/ui/states";
import { useDefinition, useRestore } from "./versions";

const MOST_NAMED = 8;
const WORDS = { added: "is added back", removed: "is removed", changed: "changes back" };

interface RestoreProps {
  id: string;
  version: number;
  latest: number;
  isActive: boolean;
  onRestored: () => void;
}

export function Restore({ id, version, latest, isActive, onRestored }: RestoreProps) {
  const { may } = useSession();
  const [asking, setAsking] = useState(false);
  const restore = useRestore(id);
  return (
    <>
      <Tooltip label="Requires the editor role" disabled={may("editor")}>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconRestore size={16} aria-hidden />}
          disabled={!may("editor")}
          onClick={() => setAsking(true)}
        >
          Restore
        </Button>
      </Tooltip>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title={`Restore version ${version}?`}
        action="Restore"
        onConfirm={async () => {
          const made = await restore(version);
          notify.done(`Version ${version} restored as version ${made}`);
          onRestored();
        }}
      >
        <Stack gap="sm">
          <WhatChanges id={id} version={version} latest={latest} />
          <Text size="sm">
            The flow is changed back to version {version}. This creates a new version; version {latest} is
            kept.
          </Text>
          {isActive && (
            <Text size="sm">
              The flow is active: its triggers will start the restored version immediately.
            </Text>
          )}
        </Stack>
      </ConfirmDialog>
    </>
  );
}

/** The difference between the current version and the version to restore. */
function WhatChanges({ id, version, latest }: { id: string; version: number; latest: number }) {
  const now = useDefinition(id, latest);
  const then = useDefinition(id, version);
  const error = now.error ?? then.error;
  if (error) return <Text size="sm">The changes cannot be shown: {messageOf(error)}</Text>;
  if (now.definition === undefined || then.definition === undefined) return <Loading label="Comparing" />;
  const diff = diffOf(now.definition, then.definition);
  return (
    <div>
      <Text size="sm" fw={600}>
        Compared with the current version: {summaryOf(diff)}
      </Text>
      <Named diff={diff} />
    </div>
  );
}

function Named({ diff }: { diff: DefinitionDiff }) {
  if (diff.nodes.length === 0) return null;
  const more = diff.nodes.length - MOST_NAMED;
  return (
    <List size="sm" mt={4}>
      {diff.nodes.slice(0, MOST_NAMED).map(({ id, change, before, after }) => (
        <List.Item key={id} style={{ overflowWrap: "anywhere" }}>
          “{after?.name || before?.name || id}” {WORDS[change]}
        </List.Item>
      ))}
      {more > 0 && <List.Item>and {more} more</List.Item>}
    </List>
  );
}
