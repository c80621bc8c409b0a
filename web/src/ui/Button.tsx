import { Button as Base, type ButtonProps, polymorphic } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";

const SMALL = new Set<ButtonProps["size"]>(["xs", "compact-xs", "compact-sm"]);

/** Mantine's button, with an icon before its text. */
export const Button = polymorphic<"button", ButtonProps & { icon?: Icon }>(
  ({ icon: Icon, ...props }: ButtonProps & { icon?: Icon }) => {
    const size = SMALL.has(props.size) ? 14 : 16;
    return <Base leftSection={Icon && <Icon size={size} aria-hidden />} {...props} />;
  },
);
