import { ActionIcon, Group, Text, Tooltip } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { Suspense } from "react";
import { DocsLink } from "@/ui/DocsLink";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";
import panel from "./panel/panel.module.css";
import { Resizer } from "./panel/Resizer";
import { useUi } from "./ui";

const JsonText = lazily(() => import("./JsonText"));

/** The definition as JSON beside the canvas. A change of either updates the other. */
export function JsonPane() {
  const open = useUi((ui) => ui.json);
  const width = useUi((ui) => ui.jsonWidth);
  const { set, keep } = useUi.getState();
  if (!open) return null;
  return (
    <section className={panel.panel} style={{ width }} aria-label="Flow as JSON">
      <Resizer label="Width of the JSON panel" width={width} onResize={(jsonWidth) => keep({ jsonWidth })} />
      <Group justify="space-between" px="sm" py={6}>
        <Group gap="sm">
          <Text fw={600}>JSON</Text>
          <DocsLink page="definition" label="Documentation of the format">
            Documentation
          </DocsLink>
        </Group>
        <Tooltip label="Hide JSON">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label="Hide JSON"
            data-next="[data-json]"
            onClick={() => set({ json: false })}
          >
            <IconX size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
      <Suspense fallback={<Loading label="Opening JSON" />}>
        <JsonText />
      </Suspense>
    </section>
  );
}
