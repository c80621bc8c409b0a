import { Group, Tooltip } from "@mantine/core";
import { IconEar, IconExternalLink, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useSession } from "@/app/session";
import type { FlowNode } from "@/definition/types";
import { Button } from "@/ui/Button";
import { useEditor, useEditorStore } from "../context";
import { isCalled } from "../panel/starts";
import { isForm, useListen } from "./Listening";
import classes from "./run.module.css";

/** The buttons in the panel of a node: run only this node, and for one with an address, wait for a call of it. */
export function RunNodeButton({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const { may } = useSession();
  const readOnly = useEditor((state) => state.readOnly);
  const called = useEditor((state) => isCalled(node, state.catalogue));
  const trigger = useEditor((state) => state.catalogue?.find(node.type)?.trigger ?? false);
  const listen = useListen();
  /** Listen for an answer, and open the page; the browser lets only a click open a tab, so it opens first. */
  async function openForm() {
    const tab = window.open("about:blank", "_blank");
    const begun = await listen();
    const path = String(node.config?.path ?? "").replace(/^\/+|\/+$/g, "");
    const address = begun?.addresses.find((one) => one.path.endsWith(`/${path}`) && isForm(one.path));
    if (tab === null) return;
    if (address === undefined) tab.close();
    else tab.location.href = address.path;
  }
  if (readOnly || !may("editor")) return null;
  return (
    <Group px="md" pb="xs" gap="xs">
      <Tooltip
        label={
          trigger
            ? "Runs only this trigger, with an input that you enter (Ctrl+Shift+Enter)"
            : "Runs only this node, with the outputs of earlier nodes in the last run. Those without an output run first (Ctrl+Shift+Enter)"
        }
        multiline
        maw={280}
        // On the canvas: the panel is read while the node is tried.
        position="left"
        offset={18}
      >
        <Button size="xs" variant="light" icon={IconPlayerPlayFilled} onClick={() => store.getState().run?.(node.id)}>
          {trigger ? "Test trigger" : "Run this node"}
        </Button>
      </Tooltip>
      {node.type === "form" && (
        <Button size="xs" variant="default" icon={IconExternalLink} onClick={() => void openForm()}>
          Open test form
        </Button>
      )}
      {called && node.type !== "form" && (
        <Button size="xs" variant="default" icon={IconEar} onClick={() => void listen()}>
          Listen for a test call
        </Button>
      )}
    </Group>
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
