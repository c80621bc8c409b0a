import { Text, Tooltip } from "@mantine/core";
import { IconCloudCheck, IconCloudOff, IconCloudUp, IconDeviceFloppy } from "@tabler/icons-react";
import { useEditor } from "../context";
import { isDirty } from "../store";

/** Whether the server has what is shown. */
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
      return [IconCloudUp, "Saving…", "var(--quiet)", "On its way to the server"] as const;
    if (saving.kind === "away")
      return [IconCloudOff, "Not saved; trying again", "var(--waiting)", hinted] as const;
    if (saving.kind === "refused") return [IconCloudOff, "Not saved", "var(--failed)", hinted] as const;
    if (saving.kind === "conflict")
      return [
        IconCloudOff,
        "Not saved: changed elsewhere",
        "var(--failed)",
        "Another person has saved",
      ] as const;
    if (!dirty) return [IconCloudCheck, "Saved", "var(--quiet)", "The server has it"] as const;
    if (active)
      return [
        IconDeviceFloppy,
        "Not live yet",
        "var(--waiting)",
        "Kept on this device until you publish",
      ] as const;
    return [IconCloudUp, "Saving…", "var(--quiet)", "Kept on this device, and sent when you pause"] as const;
  }
}
