import { Menu, type MenuProps } from "@mantine/core";
import { cloneElement, type ReactElement, useEffect, useRef, useState } from "react";

interface OpenedMenuProps {
  menu: Pick<MenuProps, "width" | "position">;
  items: ReactElement;
  /** The button. */
  children: ReactElement<Record<string, unknown>>;
}

/** A menu that opens when it is first shown: its button has just been clicked. */
export function OpenedMenu({ menu, items, children }: OpenedMenuProps) {
  const [opened, setOpened] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The button replaces the one that was clicked. Closing the menu returns the focus to it.
    button.current?.focus();
    setOpened(true);
  }, []);
  return (
    <Menu {...menu} shadow="md" opened={opened} onChange={setOpened}>
      <Menu.Target>{cloneElement(children, { ref: button })}</Menu.Target>
      <Menu.Dropdown>{items}</Menu.Dropdown>
    </Menu>
  );
}
