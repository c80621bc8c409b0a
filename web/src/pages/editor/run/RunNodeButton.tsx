import { Box, Button, Tooltip } from "@mantine/core";
import { IconPlayerPlayFilled } from "@tabler/icons-react";
import { useSession } from "@/app/session";
import { useEditor, useEditorStore } from "../context";
import classes from "./run.module.css";

/** The button in the panel of a node that runs only this node. */
export function RunNodeButton({ nodeId }: { nodeId: string }) {
  const store = useEditorStore();
  const { may } = useSession();
  const readOnly = useEditor((state) => state.readOnly);
  if (readOnly || !may("editor")) return null;
  return (
    <Box px="md" pb="xs">
      <Tooltip
        label="Runs only this node, with the outputs of earlier nodes in the last run (Ctrl+Shift+Enter)"
        multiline
        maw={280}
      >
        <Button
          size="xs"
          variant="light"
          leftSection={<IconPlayerPlayFilled size={14} aria-hidden />}
          onClick={() => store.getState().run?.(nodeId)}
        >
          Run this node
        </Button>
      </Tooltip>
    </Box>
  );
}

/** The same on the card of a node, shown while the mouse is over it. Plain elements: there is one for every node. */
export function RunNodeOnCard({ nodeId, name }: { nodeId: string; name: string }) {
  const store = useEditorStore();
  return (
    <button
      type="button"
      tabIndex={-1}
      className={`${classes.onCard} nodrag nopan`}
      title="Run this node"
      aria-label={`Run ${name}`}
      onClick={(event) => {
        event.stopPropagation();
        store.getState().run?.(nodeId);
      }}
    >
      <svg width="10" height="12" viewBox="0 0 10 12" aria-hidden="true">
        <path d="M1 1v10l8-5z" fill="currentColor" />
      </svg>
    </button>
  );
}
