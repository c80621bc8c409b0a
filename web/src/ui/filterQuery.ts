/** Filters of a list that a user has saved under a name: from and to the filters in the address. Pure. */

type Values<Name extends string> = Record<Name, string>;

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
export function filtersOf<Name extends string>(
  query: Record<string, string>,
  defaults: Values<Name>,
): Values<Name> {
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
