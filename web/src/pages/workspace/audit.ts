/** What the audit trail says, in words. */
import type { Schemas } from "@/api/client";

export type Entry = Schemas["AuditOut"];
export type Action = Entry["action"];

/** "flow.activated" -> "Activated a flow". */
export function actionInWords(action: string): string {
  const [subject = "", verb = ""] = action.split(".");
  const special = SPECIAL[action];
  if (special !== undefined) return special;
  const noun = NOUNS[subject] ?? subject;
  return `${verb.charAt(0).toUpperCase()}${verb.slice(1)} ${/^[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
}

const NOUNS: Record<string, string> = { token: "API token", memory: "memory of an agent", preset: "palette" };

const SPECIAL: Record<string, string> = {
  "session.opened": "Logged in",
  "session.closed": "Logged out",
  "session.refused": "Was refused at the login",
  "session.moved": "Went to another workspace",
  "profile.changed": "Changed the profile",
  "password.changed": "Changed the password",
  "password.reset": "Reset a password",
  "invitation.created": "Invited somebody",
  "user.promoted": "Made somebody an admin",
  "user.demoted": "Took admin rights away",
  "member.changed": "Changed a role",
  "memory.written": "Wrote into the memory of an agent",
  "memory.cleared": "Cleared the memory of an agent",
};

interface Subject {
  value: string;
  label: string;
  verbs: string[];
}

/** What can be asked for: everything of a kind, or one thing that is done to it. */
export const SUBJECTS: Subject[] = [
  {
    value: "flow",
    label: "Flows",
    verbs: ["created", "updated", "activated", "deactivated", "restored", "deleted"],
  },
  {
    value: "run",
    label: "Runs",
    verbs: ["started", "answered", "cancelled", "retried", "recorded", "deleted"],
  },
  { value: "credential", label: "Credentials", verbs: ["created", "updated", "tested", "deleted"] },
  { value: "agent", label: "Agents", verbs: ["created", "updated", "deleted"] },
  { value: "memory", label: "Memory of agents", verbs: ["written", "deleted", "cleared"] },
  { value: "member", label: "Members", verbs: ["added", "changed", "removed"] },
  {
    value: "invitation",
    label: "Invitations",
    verbs: ["created", "accepted", "refused", "withdrawn"],
  },
  { value: "user", label: "Admins", verbs: ["promoted", "demoted"] },
  { value: "token", label: "API tokens", verbs: ["created", "withdrawn"] },
  { value: "workspace", label: "Workspaces", verbs: ["created", "renamed"] },
  { value: "session", label: "Logins", verbs: ["opened", "closed", "refused", "moved"] },
  { value: "profile", label: "Profiles", verbs: ["changed"] },
  { value: "password", label: "Passwords", verbs: ["changed", "reset"] },
  { value: "file", label: "Files", verbs: ["uploaded", "deleted"] },
  { value: "preset", label: "Palettes", verbs: ["imported", "deleted"] },
];

/** Where something is to be seen; undefined for what has no page. */
export function pageOf(id: string, entry: Entry): string | undefined {
  const agent = (entry.changes as Record<string, unknown>).agent_id;
  switch (id.split("_")[0]) {
    case "wf":
      return `/flows/${id}`;
    case "run":
      return `/runs/${id}`;
    case "cred":
      return `/credentials?credential=${id}`;
    case "tok":
      return "/tokens";
    case "usr":
    case "ws":
      return "/members";
    case "mem":
      return typeof agent === "string" ? `/agents/${agent}?tab=memory` : undefined;
    default:
      return entry.target_type === "agent" || id === agent ? `/agents/${id}` : undefined;
  }
}

export interface Line {
  text: string;
  /** What the text ends with, where that has a page of its own. */
  link?: { label: string; path: string };
}

function shown(value: unknown): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(shown).join(", ") || "none";
  return typeof value === "string" ? `“${value}”` : JSON.stringify(value);
}

/** "1 added, 2 changed". */
function counted(counts: object): string {
  const told = Object.entries(counts).filter(([, number]) => number !== 0);
  return told.map(([what, number]) => `${number} ${what}`).join(", ");
}

function isCounts(change: object): boolean {
  return Object.values(change).every((value) => typeof value === "number");
}

function lineOf(field: string, change: unknown, entry: Entry): Line {
  const name = field.replace(/_id$/, "").replaceAll("_", " ");
  const called = (value: unknown) =>
    typeof value === "string" && entry.names[value] !== undefined ? `“${entry.names[value]}”` : shown(value);
  if (typeof change === "object" && change !== null && !Array.isArray(change)) {
    if ("before" in change && "after" in change) {
      const text = `${name}: ${called(change.before)} → ${called(change.after)}`;
      return field === "version" && entry.target_type === "flow"
        ? withVersion(text, change.after, entry)
        : { text };
    }
    if ("changed" in change && change.changed === true) return { text: `${name} changed` };
    if (isCounts(change)) return { text: `${name}: ${counted(change)}` };
  }
  if (field === "days") return { text: change === null ? "without an end" : `for ${change} days` };
  const path = typeof change === "string" && change in entry.names ? pageOf(change, entry) : undefined;
  if (path === undefined) return { text: `${name}: ${called(change)}` };
  return { text: `${name}: `, link: { label: entry.names[change as string] ?? "", path } };
}

/** A version of a flow that is still there can be looked at. */
function withVersion(text: string, version: unknown, entry: Entry): Line {
  const id = entry.target_id ?? "";
  if (!(id in entry.names)) return { text };
  const label = String(version);
  return {
    text: text.slice(0, text.length - label.length),
    link: { label, path: `/flows/${id}/versions?version=${label}` },
  };
}

/** One line for each change: "status: “draft” → “active”", "hosts changed", "nodes: 2 added". */
export function changesInWords(entry: Entry): Line[] {
  return Object.entries(entry.changes).map(([field, change]) => lineOf(field, change, entry));
}
