import { Button, Group, Progress, Stack, Text } from "@mantine/core";
import { Card } from "@/ui/Page";
import { messageOf } from "@/ui/states";
import type { Upload, useUploads } from "./useUploads";

type Uploading = Pick<ReturnType<typeof useUploads>, "uploads" | "again" | "drop">;

/** The progress of each upload, and actions for failed ones. Renders nothing without uploads. */
export function Uploads({ uploads, again, drop }: Uploading) {
  if (uploads.length === 0) return null;
  return (
    <Card title="Uploads">
      <Stack gap="sm">
        {uploads.map((one) => (
          <Row key={one.id} upload={one} again={again} drop={drop} />
        ))}
      </Stack>
    </Card>
  );
}

function Row({ upload, again, drop }: { upload: Upload } & Omit<Uploading, "uploads">) {
  const { id, file, folder, state, part, error } = upload;
  const isOver = state === "exists" || state === "failed";
  return (
    <div>
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={550} style={{ overflowWrap: "anywhere" }}>
          {folder}
          {file.name}
        </Text>
        {isOver && (
          <Group gap="xs" wrap="nowrap">
            <Button size="compact-sm" variant="default" onClick={() => again(id, state === "exists")}>
              {state === "exists" ? "Replace" : "Try again"}
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => drop(id)}>
              {state === "exists" ? "Keep existing" : "Discard"}
            </Button>
          </Group>
        )}
      </Group>
      {isOver ? (
        <Text size="sm" c="var(--failed)" role="alert">
          {state === "exists" ? "A file with this name already exists." : messageOf(error)}
        </Text>
      ) : (
        <Progress
          mt={4}
          value={100 * part}
          animated={state === "goes"}
          aria-label={`Upload of ${file.name}`}
        />
      )}
    </div>
  );
}
