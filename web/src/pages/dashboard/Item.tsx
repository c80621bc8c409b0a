import { Anchor, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "wouter";
import classes from "./dashboard.module.css";

interface ItemProps {
  icon: ReactNode;
  title: string;
  /** The page of the title, if it has one. */
  href?: string;
  about: string | null;
  /** The text of the tooltip, if it is not `about`. */
  hint?: string;
  /** True if `about` is an error. */
  bad?: boolean;
  action?: ReactNode;
  /** The time, at the end of the row. */
  children: ReactNode;
}

/** A row of a list: a title with a line about it, and a time. */
export function Item({ icon, title, href, about, hint, bad = false, action, children }: ItemProps) {
  const look = { size: "sm", fw: 550, truncate: true, display: "block" } as const;
  return (
    <li className={classes.row}>
      {icon}
      <div className={classes.grow}>
        {href === undefined ? (
          <Text {...look}>{title}</Text>
        ) : (
          <Anchor component={Link} href={href} {...look}>
            {title}
          </Anchor>
        )}
        {about !== null && (
          <Text size="xs" c={bad ? "var(--failed)" : "var(--quiet)"} truncate title={hint ?? about}>
            {about}
          </Text>
        )}
      </div>
      {action}
      <Text size="xs" c="var(--quiet)" component="span" ta="right">
        {children}
      </Text>
    </li>
  );
}
