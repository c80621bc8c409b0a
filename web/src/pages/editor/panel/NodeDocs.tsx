/** The documentation of a node type, from the catalog: loaded when it is opened, and there without internet. */
import { Group, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import type { NodeType } from "@/api/catalogue";
import { lazily } from "@/ui/lazily";
import { LoadingRows } from "@/ui/states";

const NodeDocsBody = lazily(() => import("./NodeDocsBody"));

export function NodeDocs({ type, nodeId }: { type: NodeType; nodeId: string }) {
  const [open, setOpen] = useState(false);
  const Icon = open ? IconChevronDown : IconChevronRight;
  return (
    <div>
      <UnstyledButton
        fz="sm"
        c="var(--mantine-color-anchor)"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Group gap={4} wrap="nowrap">
          <Icon size={16} aria-hidden />
          Settings and examples explained
        </Group>
      </UnstyledButton>
      {open && (
        <Suspense fallback={<LoadingRows rows={3} />}>
          <NodeDocsBody type={type} nodeId={nodeId} />
        </Suspense>
      )}
    </div>
  );
}
