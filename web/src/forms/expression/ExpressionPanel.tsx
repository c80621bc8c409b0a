/** Below the expression being edited: its value in the last run, and the data that it can read. */
import { ActionIcon, Button, Collapse, Group, Tooltip } from "@mantine/core";
import { IconChevronDown, IconChevronUp, IconMaximize } from "@tabler/icons-react";
import { useState } from "react";
import { DocsLink } from "@/ui/DocsLink";
import classes from "../forms.module.css";
import { holdsExpression } from "../schema/values";
import { DataPicker } from "./DataPicker";
import { Preview } from "./Preview";

interface ExpressionPanelProps {
  text: string;
  perItem: boolean;
  /** Problems that the field already shows. */
  problems: readonly string[];
  onExpand: () => void;
}

export function ExpressionPanel({ text, perItem, problems, onExpand }: ExpressionPanelProps) {
  const [open, setOpen] = useState(false);
  const Chevron = open ? IconChevronUp : IconChevronDown;
  return (
    <div className={classes.panel}>
      <Group justify="space-between" gap={4} align="flex-start" wrap="nowrap">
        <div className={classes.value}>
          {holdsExpression(text) && <Preview text={text} problems={problems} />}
        </div>
        <Tooltip label="Full screen (Alt+Enter)" openDelay={300}>
          <ActionIcon
            size="sm"
            variant="subtle"
            color="gray"
            aria-label="Edit expression in full screen"
            onMouseDown={(event) => event.preventDefault()}
            onClick={onExpand}
          >
            <IconMaximize size={14} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <DocsLink page="expressions" label="Help on expressions">
          Help
        </DocsLink>
        <Button
          size="compact-xs"
          variant="subtle"
          rightSection={<Chevron size={12} aria-hidden />}
          aria-expanded={open}
          style={{ flexShrink: 0 }}
          // Keep the focus, and thereby the cursor, in the editor.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => setOpen(!open)}
        >
          Insert data
        </Button>
      </Group>
      <Collapse expanded={open}>{open && <DataPicker perItem={perItem} />}</Collapse>
    </div>
  );
}
