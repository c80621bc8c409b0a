/** The card of a node in every graph: in the editor, a run, a template, a comparison. */

import { Text, Tooltip } from "@mantine/core";
import { IconAlertTriangleFilled, IconNote, IconPinFilled, IconRepeat } from "@tabler/icons-react";
import type { ReactNode } from "react";
import type { NodeType } from "@/api/catalogue";
import type { FlowNode } from "@/definition/types";
import type { TakenBranch } from "@/runs/states";
import { NodeIcon } from "@/ui/NodeIcon";
import { type Outcome, StatusBadge } from "@/ui/StatusBadge";
import classes from "./graph.module.css";
import { nameOf, subtitleOf } from "./nameOf";

export interface Mark {
  /** The node's outcome in a run. */
  outcome?: Outcome;
  /** A short result beside the second line, such as "120 ms" or "true 3 / false 1". */
  detail?: string;
  /** The reason of a failure, in place of the second line. */
  error?: string;
  /** The branches that its output took in a run. */
  branches?: readonly TakenBranch[];
  /** The items of a loop in a run, such as "12 items" or "12 items, 1 failed". */
  items?: string;
  /** A problem of the definition, shown on hover. */
  problem?: string;
  /** True if its output is pinned. */
  pinned?: boolean;
  /** Its change in a comparison of versions. */
  change?: "added" | "removed" | "changed";
}

interface NodeCardProps {
  node: FlowNode;
  type: NodeType | undefined;
  mark?: Mark;
  selected?: boolean;
  /** In canvas pixels; a node with many branches is taller. */
  height?: number;
  children?: ReactNode;
}

export function NodeCard({ node, type, mark = {}, selected = false, height, children }: NodeCardProps) {
  return (
    <div
      className={classes.card}
      style={height === undefined ? undefined : { height }}
      data-selected={selected || undefined}
      data-disabled={node.disabled || undefined}
      data-outcome={mark.outcome}
      data-loop={node.foreach !== undefined || undefined}
      data-change={mark.change}
      data-problem={mark.problem !== undefined || undefined}
    >
      <NodeIcon type={type} size={36} />
      <div className={classes.words}>
        <Text size="sm" fw={600} className={classes.title} title={`${nameOf(node, type)} (${node.id})`}>
          {nameOf(node, type)}
        </Text>
        {mark.error === undefined ? (
          <div className={classes.below}>
            <span>{subtitleOf(node, type)}</span>
            {mark.detail !== undefined && <small>{mark.detail}</small>}
          </div>
        ) : (
          <div className={classes.below} data-error>
            <span title={mark.error}>{mark.error}</span>
          </div>
        )}
      </div>
      <div className={classes.marks}>
        {mark.outcome !== undefined && mark.outcome !== "none" && <StatusBadge outcome={mark.outcome} iconOnly />}
        {mark.problem !== undefined && (
          <Tooltip label={mark.problem} multiline maw={320}>
            <IconAlertTriangleFilled
              size={18}
              role="img"
              aria-label={`Problem: ${mark.problem}`}
              className={classes.problem}
            />
          </Tooltip>
        )}
        {mark.pinned && <IconPinFilled size={16} role="img" aria-label="Output pinned" className={classes.pinned} />}
        {node.notes && (
          <Tooltip label={node.notes} multiline maw={320}>
            <IconNote size={16} role="img" aria-label={`Note: ${node.notes}`} />
          </Tooltip>
        )}
      </div>
      {node.foreach !== undefined && <Loop items={mark.items} />}
      {children}
    </div>
  );
}

/** An edge from the node back to itself: it runs once for each item. After a run, how many there were. */
function Loop({ items }: { items: string | undefined }) {
  return (
    <div className={classes.loop} title="Loops over items: the node runs once for each">
      <svg width="196" height="22" viewBox="0 0 196 22" aria-hidden="true">
        <path d="M188 21V12a8 8 0 0 0-8-8H16a8 8 0 0 0-8 8v7M4 14l4 6 4-6" />
      </svg>
      <span>
        <IconRepeat size={13} aria-hidden /> {items ?? "each item"}
      </span>
    </div>
  );
}
