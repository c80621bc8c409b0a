import { Menu, type MenuItemProps, type MenuProps, polymorphic } from "@mantine/core";
import { type Icon, IconDots } from "@tabler/icons-react";
import type { ComponentProps, ReactNode } from "react";
import { IconButton } from "./IconButton";

/** An item of a menu, with an icon before its text. */
export const MenuItem = polymorphic<"button", MenuItemProps & { icon: Icon }>(
  ({ icon: Icon, ...props }: MenuItemProps & { icon: Icon }) => (
    <Menu.Item leftSection={<Icon size={16} aria-hidden />} {...props} />
  ),
);

interface DotsMenuProps extends Omit<MenuProps, "children"> {
  /** The button, without its icon. */
  button: Omit<ComponentProps<typeof IconButton>, "icon">;
  children: ReactNode;
}

/** A menu of a row or a page, which opens by a button with three dots. */
export function DotsMenu({ button, children, ...menu }: DotsMenuProps) {
  return (
    <Menu position="bottom-end" {...menu}>
      <Menu.Target>
        <IconButton icon={IconDots} {...button} />
      </Menu.Target>
      <Menu.Dropdown>{children}</Menu.Dropdown>
    </Menu>
  );
}
