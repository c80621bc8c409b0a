/** The state of a list page: its filters, kept in the address so that links and Back work, and the selected rows. */
import { useCallback, useMemo, useState } from "react";
import { useLocation, useSearch } from "wouter";

type Values<Name extends string> = Record<Name, string>;

/** Read the query, using the defaults for the rest. */
export function readQuery<Name extends string>(search: string, defaults: Values<Name>): Values<Name> {
  const given = new URLSearchParams(search);
  const values = { ...defaults };
  for (const name of Object.keys(defaults) as Name[]) values[name] = given.get(name) ?? defaults[name];
  return values;
}

/** Return the query with the changes. Defaults are left out; other parameters stay. */
export function writeQuery<Name extends string>(
  search: string,
  defaults: Values<Name>,
  changes: Partial<Values<Name>>,
): string {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes) as [Name, string | undefined][]) {
    if (value === undefined || value === defaults[name]) query.delete(name);
    else query.set(name, value);
  }
  return query.toString();
}

export interface QueryState<Name extends string> {
  values: Values<Name>;
  /** `replace` adds no step to the history: for text that changes with each keystroke. */
  change: (changes: Partial<Values<Name>>, how?: { replace?: boolean }) => void;
  /** True if a filter differs from its default. */
  isSet: boolean;
  clear: () => void;
}

/** `defaults` names the filters. Define it outside the component. */
export function useQueryState<Name extends string>(defaults: Values<Name>): QueryState<Name> {
  const search = useSearch();
  const [, go] = useLocation();
  const values = useMemo(() => readQuery(search, defaults), [search, defaults]);
  const change = useCallback<QueryState<Name>["change"]>(
    (changes, { replace = false } = {}) => {
      // Read the address itself, not the last render: two changes in one tick must both count.
      const { pathname, search: present } = window.location;
      const query = writeQuery(present, defaults, changes);
      go(query === "" ? pathname : `${pathname}?${query}`, { replace });
    },
    [defaults, go],
  );
  const names = Object.keys(defaults) as Name[];
  return {
    values,
    change,
    isSet: names.some((name) => values[name] !== defaults[name]),
    clear: () => change(defaults),
  };
}

// Filters of a list that a user has saved under a name: from and to the filters in the address.

/** Return the filters to save: only values that differ from the default. */
export function filtersToSave<Name extends string>(
  values: Values<Name>,
  defaults: Values<Name>,
): Record<string, string> {
  const names = Object.keys(defaults) as Name[];
  return Object.fromEntries(
    names.filter((name) => values[name] !== defaults[name]).map((name) => [name, values[name]]),
  );
}

/** Return the values of all filters that a saved one stands for. Names that the page no longer has are left out. */
export function filtersOf<Name extends string>(query: Record<string, string>, defaults: Values<Name>): Values<Name> {
  const values = { ...defaults };
  for (const name of Object.keys(defaults) as Name[]) values[name] = query[name] ?? defaults[name];
  return values;
}

/** Return true if the page shows exactly what the saved filter stands for. */
export function isShown<Name extends string>(
  query: Record<string, string>,
  values: Values<Name>,
  defaults: Values<Name>,
): boolean {
  const saved = filtersOf(query, defaults);
  return (Object.keys(defaults) as Name[]).every((name) => saved[name] === values[name]);
}

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
