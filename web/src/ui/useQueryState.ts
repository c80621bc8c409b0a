/** Filters kept in the address, so that a link shows the same list to others and Back undoes them. */
import { useCallback, useMemo } from "react";
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
