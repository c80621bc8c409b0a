import { Text, Tooltip } from "@mantine/core";
import { IconCloudCheck, IconCloudOff, IconCloudUp, IconDeviceFloppy } from "@tabler/icons-react";
import { useEditor } from "../context";
import { isDirty } from "../store";

/** Shows if the server has the current definition. */
export function SavedState() {
  const saving = useEditor((state) => state.saving);
  const dirty = useEditor(isDirty);
  const active = useEditor((state) => state.flow.status === "active");
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
    if (!dirty)
      return [IconCloudCheck, "Saved", "var(--quiet)", "All changes are saved on the server"] as const;
    if (active)
      return [
        IconDeviceFloppy,
        "Unpublished changes",
        "var(--waiting)",
        "Kept on this device until you publish them",
      ] as const;
    return [
      IconCloudUp,
      "Saving…",
      "var(--quiet)",
      "Kept on this device, sent to the server shortly",
    ] as const;
  }
}
