/** A button with a menu. The menu is loaded when the button is first used: the first page needs none. */
import type { MenuProps } from "@mantine/core";
import { type ComponentType, cloneElement, type ReactElement, Suspense, useState } from "react";
import { lazily } from "@/ui/lazily";

type Load = () => Promise<{ default: ComponentType }>;

export interface MenuButtonProps {
  /** Import the component with the items. */
  load: Load;
  menu: Pick<MenuProps, "width" | "position">;
  /** The button. */
  children: ReactElement<Record<string, unknown>>;
}

/** Return the component that shows the menu with these items. */
function menuWith(load: Load) {
  return lazily(async () => {
    const [{ OpenedMenu }, { default: Items }] = await Promise.all([import("./OpenedMenu"), load()]);
    return {
      default: ({ menu, children }: Omit<MenuButtonProps, "load">) => (
        <OpenedMenu menu={menu} items={<Items />}>
          {children}
        </OpenedMenu>
      ),
    };
  });
}

export function MenuButton({ load, menu, children }: MenuButtonProps) {
  const [Whole] = useState(() => menuWith(load));
  const [used, setUsed] = useState(false);
  const loadAhead = () => void Promise.all([import("./OpenedMenu"), load()]).catch(() => undefined);
  const button = cloneElement(children, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    onPointerEnter: loadAhead,
    onFocus: loadAhead,
    onClick: () => setUsed(true),
  });
  if (!used) return button;
  return (
    <Suspense fallback={button}>
      <Whole menu={menu}>{children}</Whole>
    </Suspense>
  );
}
