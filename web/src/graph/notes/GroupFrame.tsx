import type { ReactNode } from "react";
import type { FlowGroup } from "@/definition/types";
import classes from "./notes.module.css";

export function nameOfGroup(group: FlowGroup): string {
  return group.name || group.id;
}

interface GroupFrameProps {
  group: FlowGroup;
  selected?: boolean;
  /** Beside the title. */
  children?: ReactNode;
}

/** The frame of a group. The pointer passes through it, except on its title. */
export function GroupFrame({ group, selected = false, children }: GroupFrameProps) {
  return (
    <div
      className={classes.frame}
      data-color={group.color ?? "gray"}
      data-selected={selected || undefined}
      data-frame
    >
      <div className={classes.title}>
        {children}
        <span title={nameOfGroup(group)}>{nameOfGroup(group)}</span>
      </div>
    </div>
  );
}
