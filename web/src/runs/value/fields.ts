/** The fields of a value with their types and an example; the items of a list are merged. Pure. */
import { count } from "@/ui/format";
import { briefText, isObject, type Kind, kindOf, type Path } from "./kinds";

export interface Field {
  /** Where an expression finds it: for a list's items, in the first item that has it. */
  path: Path;
  label: string;
  /** The types of its values, in words: "text", "number or null", "list of object". */
  types: string;
  /** An example on one line. */
  example: string;
  depth: number;
  /** True if there are fields within it. */
  opens: boolean;
  /** True if some items of the list lack it. */
  isPartial: boolean;
}

interface Shape {
  kinds: Set<Kind>;
  seen: number;
  /** The number of objects among the values. */
  objects: number;
  example: unknown;
  /** The path of the first value. */
  path: Path;
  keys: Map<string, Shape>;
  each: Shape | null;
  items: number;
}

/** Values to read at most, so that the time stays short. */
const MAX_READ = 200_000;
const MAX_KEYS = 1_000;
const MAX_DEPTH = 12;

function shape(path: Path): Shape {
  return {
    kinds: new Set(),
    seen: 0,
    objects: 0,
    example: undefined,
    path,
    keys: new Map(),
    each: null,
    items: 0,
  };
}

/** A place in the value, linked to the one around it: most places need no path. */
interface Place {
  around: Place | null;
  key: string | number;
}

function pathOf(place: Place | null): Path {
  const path: Path = [];
  for (let at = place; at !== null; at = at.around) path.unshift(at.key);
  return path;
}

/** Return the merged shape of a value. */
export function shapeOf(value: unknown): Shape {
  let read = 0;
  function add(to: Shape, one: unknown, place: Place | null, depth: number) {
    read += 1;
    to.kinds.add(kindOf(one));
    to.seen += 1;
    if (to.example === undefined || to.example === null || to.example === "") to.example = one;
    if (read > MAX_READ || depth > MAX_DEPTH) return;
    if (Array.isArray(one)) {
      to.items += one.length;
      for (let at = 0; at < one.length && read < MAX_READ; at += 1) {
        const inner = { around: place, key: at };
        to.each ??= shape(pathOf(inner));
        add(to.each, one[at], inner, depth + 1);
      }
    } else if (isObject(one)) {
      to.objects += 1;
      for (const key of Object.keys(one)) {
        const inner = { around: place, key };
        let own = to.keys.get(key);
        if (own === undefined) {
          if (to.keys.size >= MAX_KEYS) break;
          own = shape(pathOf(inner));
          to.keys.set(key, own);
        }
        add(own, one[key], inner, depth + 1);
      }
    }
  }
  const made = shape([]);
  add(made, value, null, 0);
  return made;
}

function typesOf(one: Shape): string {
  const names = [...one.kinds].map((kind) => {
    if (kind !== "list") return kind;
    const of = one.each === null ? "" : ` of ${[...one.each.kinds].join(" or ")}`;
    return `list${of}${one.seen === 1 ? ` (${count(one.items)})` : ""}`;
  });
  return names.join(" or ");
}

/** Return the shape whose keys are the fields within this one: the items of a list are skipped. */
function inside(one: Shape): Shape {
  return one.keys.size === 0 && one.each !== null ? inside(one.each) : one;
}

export function keyOf(path: Path): string {
  return JSON.stringify(path);
}

/** Return the rows of a shape without those within closed ones; with a query, the fields that match and those around them. */
export function fieldsOf(root: Shape, closed: ReadonlySet<string>, query = ""): Field[] {
  const wanted = query.toLowerCase();
  const rows: Field[] = [];
  function matches(label: string, example: string) {
    return label.toLowerCase().includes(wanted) || example.toLowerCase().includes(wanted);
  }
  function walk(around: Shape, depth: number, shown: boolean): boolean {
    const holder = inside(around);
    let found = false;
    for (const [label, one] of holder.keys) {
      const example = briefText(one.example, 80);
      const isMatch = wanted === "" || matches(label, example);
      const at = rows.length;
      const opens = inside(one).keys.size > 0;
      const isPartial = one.seen < holder.objects;
      rows.push({ path: one.path, label, types: typesOf(one), example, depth, opens, isPartial });
      const isOpen = wanted !== "" || !closed.has(keyOf(one.path));
      const within = opens && isOpen ? walk(one, depth + 1, shown || isMatch) : false;
      if (isMatch || within || (shown && wanted !== "")) found = true;
      else rows.length = at;
    }
    return found;
  }
  walk(root, 0, false);
  return rows;
}
