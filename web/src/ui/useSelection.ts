import { useCallback, useMemo, useState } from "react";

export interface Selection {
  size: number;
  /** True if all selectable runs are selected. */
  all: boolean;
  has: (id: string) => boolean;
  toggle: (id: string) => void;
  toggleAll: () => void;
  clear: () => void;
}

/** Track the selected ids. Ids that leave the list are deselected. */
export function useSelection(ids: readonly string[]): Selection {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const present = useMemo(() => new Set(ids.filter((id) => chosen.has(id))), [ids, chosen]);
  const all = ids.length > 0 && present.size === ids.length;
  const toggle = useCallback((id: string) => {
    setChosen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);
  return {
    size: present.size,
    all,
    has: (id) => present.has(id),
    toggle,
    toggleAll: () => setChosen(all ? new Set() : new Set(ids)),
    clear: () => setChosen(new Set()),
  };
}
