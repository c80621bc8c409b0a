import { Button, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useEditor, useEditorStore } from "../context";
import { whereNext } from "../palette/adding";
import { useUi } from "../ui";
import classes from "./canvas.module.css";

/** In the middle of a canvas without nodes: what to do first. */
export function Beginning() {
  const store = useEditorStore();
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const readOnly = useEditor((state) => state.readOnly);
  if (!isEmpty || readOnly) return null;
  return (
    <div className={classes.beginning}>
      <Text fw={600}>Begin with what starts the flow</Text>
      <Text size="sm" c="var(--quiet)" ta="center">
        A schedule, a webhook, a new mail; or any other node, and press Run yourself.
      </Text>
      <Button
        variant="default"
        leftSection={<IconPlus size={18} aria-hidden />}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const screen = { x: box.left, y: box.top };
          useUi.getState().set({ quick: { screen, where: whereNext(store.getState()) } });
        }}
      >
        Add the first node
      </Button>
    </div>
  );
}
