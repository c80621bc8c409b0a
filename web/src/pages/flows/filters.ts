/** The filters of the list of flows, and folders as paths of names. Pure. */

export const FILTERS = {
  search: "",
  status: "draft,active",
  trigger: "",
  result: "",
  tag: "",
  favourite: "",
  sort: "newest",
};
export type Filters = typeof FILTERS;
/** The open folder; not a filter that "Clear filters" clears. */
export const PLACE = { folder: "" };
export const EVERYTHING = { ...FILTERS, ...PLACE };

export interface Folder {
  path: string;
  flows: number;
}

/**
 * Return true if the list shows one folder as it is, with its subfolders as rows. With a filter it shows all matching
 * flows of the folder and its subfolders, as a search does.
 */
export function isBrowsing(filters: Filters): boolean {
  const names = Object.keys(FILTERS) as (keyof Filters)[];
  return names.every((name) => name === "sort" || filters[name] === FILTERS[name]);
}

/** Return the query of the API for these filters in a folder; "" is the top. */
export function queryOf(filters: Filters, folder: string) {
  const { search, status, trigger, result, tag, favourite, sort } = filters;
  return {
    brief: true,
    limit: 50,
    sort: sort as "newest",
    ...(search && { search }),
    ...(status && { status }),
    ...(trigger && { trigger }),
    ...(result && { failing: result === "failing" }),
    ...(tag && { tag }),
    ...(favourite && { favourite: true }),
    ...(folder && { folder }),
    ...(isBrowsing(filters) && { subfolders: false }),
  };
}

/** Return the address of a folder's page. */
export function addressOf(folder: string): string {
  return folder === "" ? "/flows" : `/flows?folder=${encodeURIComponent(folder)}`;
}

export function tagsOf(filter: string): string[] {
  return filter === "" ? [] : filter.split(",");
}

/** Add a tag to the filter, or remove it. */
export function toggleTag(filter: string, tag: string): string {
  const tags = tagsOf(filter);
  return (tags.includes(tag) ? tags.filter((one) => one !== tag) : [...tags, tag]).join(",");
}

export function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf("/") + 1);
}

export function parentOf(folder: string): string {
  return folder.includes("/") ? folder.slice(0, folder.lastIndexOf("/")) : "";
}

/** Return the folder and the folders around it, the outermost first. */
export function trailOf(folder: string): string[] {
  const names = folder === "" ? [] : folder.split("/");
  return names.map((_, at) => names.slice(0, at + 1).join("/"));
}

/** Return the subfolders of a folder, sorted, each with the number of flows in it and its own subfolders. */
export function subfoldersOf(folders: readonly Folder[], parent: string): Folder[] {
  const prefix = parent === "" ? "" : `${parent}/`;
  const found = new Map<string, number>();
  for (const { path, flows } of folders) {
    if (!path.startsWith(prefix) || path === parent) continue;
    const name = path.slice(prefix.length).split("/", 1)[0] as string;
    found.set(prefix + name, (found.get(prefix + name) ?? 0) + flows);
  }
  return [...found]
    .map(([path, flows]) => ({ path, flows }))
    .sort((a, b) => nameOf(a.path).localeCompare(nameOf(b.path)));
}

/** Return all paths that a flow can be moved to: the folders and the folders around them, sorted. */
export function allPaths(folders: readonly Folder[]): string[] {
  return [...new Set(folders.flatMap(({ path }) => trailOf(path)))].sort((a, b) => a.localeCompare(b));
}

/** Return the tags that all of these flows have. */
export function commonTags(flows: readonly { tags: string[] }[]): string[] {
  const [first, ...rest] = flows;
  return first?.tags.filter((tag) => rest.every((flow) => flow.tags.includes(tag))) ?? [];
}

/** Return the tags that only some of these flows have. */
export function partialTags(flows: readonly { tags: string[] }[]): string[] {
  const common = commonTags(flows);
  return [...new Set(flows.flatMap((flow) => flow.tags))].filter((tag) => !common.includes(tag)).sort();
}

/** Spell each tag as the existing tag that differs from it in case only, if there is one. */
export function spelledAs(tags: readonly string[], existing: readonly string[]): string[] {
  const known = new Map(existing.map((tag) => [tag.toLowerCase(), tag]));
  const spelled = tags.map((tag) => tag.trim());
  return [...new Set(spelled.map((tag) => (existing.includes(tag) ? tag : (known.get(tag.toLowerCase()) ?? tag))))];
}
