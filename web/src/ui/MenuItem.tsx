import { Menu, type MenuItemProps, polymorphic } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";

/** An item of a menu, with an icon before its text. */
export const MenuItem = polymorphic<"button", MenuItemProps & { icon: Icon }>(
  ({ icon: Icon, ...props }: MenuItemProps & { icon: Icon }) => (
    <Menu.Item leftSection={<Icon size={16} aria-hidden />} {...props} />
  ),
);
