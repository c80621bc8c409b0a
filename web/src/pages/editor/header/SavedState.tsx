import { Text, Tooltip } from "@mantine/core";
import { IconCloudCheck, IconCloudOff, IconCloudUp } from "@tabler/icons-react";
import { timeAgo } from "@/ui/format";
import { useNow } from "@/ui/Time";
import { useEditor } from "../context";
import { isDirty, isUnpublished } from "../store";

/** Shows if the server has the current definition, and whose draft it is. */
export function SavedState() {
  const saving = useEditor((state) => state.saving);
  const dirty = useEditor(isDirty);
  const unpublished = useEditor(isUnpublished);
  const by = useEditor((state) => state.draftBy);
  const now = useNow();
  const [icon, words, color, hint] = looks();
  const Icon = icon;
  return (
    <Tooltip label={hint} multiline maw={320}>
      <Text
        size="sm"
        c={color}
        role="status"
        style={{ display: "flex", alignItems: "center", gap: 6, whiteSpace: "nowrap" }}
      >
        <Icon size={18} stroke={1.7} aria-hidden />
        {words}
      </Text>
    </Tooltip>
  );

  function looks() {
    const hinted = "message" in saving ? saving.message : "";
    if (saving.kind === "saving")
      return [IconCloudUp, "Saving…", "var(--quiet)", "Sending changes to the server"] as const;
    if (saving.kind === "away")
      return [IconCloudOff, "Not saved; retrying", "var(--waiting)", hinted] as const;
    if (saving.kind === "refused") return [IconCloudOff, "Not saved", "var(--failed)", hinted] as const;
    if (saving.kind === "conflict")
      return [IconCloudOff, "Not saved: conflict", "var(--failed)", "Another user saved this flow"] as const;
    if (!dirty && !unpublished)
      return [IconCloudCheck, "Saved", "var(--quiet)", "The current version has all changes"] as const;
    if (!dirty) {
      const who = by === null ? "" : `, by ${by.who} ${timeAgo(by.at, now)}`;
      const kept = `The changes are saved on the server as a draft${who}. Triggers start the current version.`;
      return [IconCloudCheck, "Draft saved", "var(--waiting)", kept] as const;
    }
    return [
      IconCloudUp,
      "Saving…",
      "var(--quiet)",
      "Kept on this device, sent to the server shortly",
    ] as const;
  }
}
