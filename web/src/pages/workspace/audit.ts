/** Texts of the audit log. */
import type { Schemas } from "@/api/client";
import { FLOW_STATUS } from "@/ui/StatusBadge";
import { roleLabel } from "./roles";

export type Entry = Schemas["AuditOut"];
export type Action = Entry["action"];

/** Return a text for an action: "flow.activated" -> "Activated a flow". */
export function actionInWords(action: string): string {
  const [subject = "", verb = ""] = action.split(".");
  const special = SPECIAL[action];
  if (special !== undefined) return special;
  const done = VERBS[verb] ?? verb;
  const noun = NOUNS[subject] ?? subject;
  return `${done.charAt(0).toUpperCase()}${done.slice(1)} ${/^[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
}

const NOUNS: Record<string, string> = {
  token: "API token",
  memory: "memory entry of an agent",
  preset: "node preset",
};
/** Verbs of actions for which the app uses another word. */
const VERBS: Record<string, string> = { withdrawn: "revoked" };

const SPECIAL: Record<string, string> = {
  "flow.published": "Published a draft",
  "flow.publish_scheduled": "Scheduled a publish",
  "flow.publish_cancelled": "Cancelled a scheduled publish",
  "flow.draft_discarded": "Discarded a draft",
  "flow.version_named": "Named a version",
  "flow.listened": "Listened for a test call",
  "flow.unlistened": "Stopped listening for a test call",
  "session.opened": "Logged in",
  "session.closed": "Logged out",
  "session.refused": "Failed to log in",
  "session.moved": "Switched workspace",
  "profile.changed": "Changed their profile",
  "password.changed": "Changed their password",
  "password.reset": "Reset a password",
  "invitation.created": "Invited somebody",
  "user.promoted": "Granted admin rights",
  "user.demoted": "Removed admin rights",
  "workspace.changed": "Changed settings of the workspace",
  "webhook.forgotten": "Confirmed that a webhook was removed by hand",
  "member.changed": "Changed a role",
  "memory.written": "Wrote to an agent's memory",
  "store.written": "Wrote a key of the store",
  "store.deleted": "Deleted a key of the store",
  "table.edited": "Edited rows of a table",
  "table.imported": "Imported rows into a table",
  "memory.cleared": "Cleared an agent's memory",
};

interface Subject {
  value: string;
  label: string;
  verbs: string[];
}

/** Options of the filter by action: all actions of a kind, or a single action. */
export const SUBJECTS: Subject[] = [
  {
    value: "flow",
    label: "Flows",
    verbs: [
      "created",
      "updated",
      "published",
      "publish_scheduled",
      "publish_cancelled",
      "listened",
      "unlistened",
      "draft_discarded",
      "version_named",
      "activated",
      "deactivated",
      "restored",
      "deleted",
    ],
  },
  { value: "folder", label: "Folders", verbs: ["moved"] },
  {
    value: "run",
    label: "Runs",
    verbs: ["started", "answered", "cancelled", "retried", "recorded", "deleted"],
  },
  {
    value: "credential",
    label: "Credentials",
    verbs: ["created", "updated", "connected", "disconnected", "tested", "deleted"],
  },
  { value: "agent", label: "Agents", verbs: ["created", "updated", "deleted"] },
  { value: "memory", label: "Agent memory", verbs: ["written", "deleted", "cleared"] },
  { value: "member", label: "Members", verbs: ["added", "changed", "removed"] },
  {
    value: "invitation",
    label: "Invitations",
    verbs: ["created", "accepted", "refused", "withdrawn"],
  },
  { value: "user", label: "Admins", verbs: ["promoted", "demoted"] },
  { value: "token", label: "API tokens", verbs: ["created", "withdrawn"] },
  { value: "workspace", label: "Workspaces", verbs: ["created", "renamed", "changed"] },
  { value: "variable", label: "Variables", verbs: ["set", "deleted"] },
  { value: "webhook", label: "Webhooks in services", verbs: ["forgotten"] },
  { value: "session", label: "Logins", verbs: ["opened", "closed", "refused", "moved"] },
  { value: "profile", label: "Profiles", verbs: ["changed"] },
  { value: "password", label: "Passwords", verbs: ["changed", "reset"] },
  { value: "file", label: "Files", verbs: ["uploaded", "moved", "deleted"] },
  {
    value: "table",
    label: "Tables",
    verbs: ["created", "changed", "edited", "imported", "deleted"],
  },
  { value: "store", label: "Key-value store", verbs: ["written", "deleted"] },
  { value: "preset", label: "Node presets", verbs: ["imported", "deleted"] },
];

/** Return the page about an id; undefined if there is none. */
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
    case "tbl":
      return `/tables/${id}`;
    case "mem":
      return typeof agent === "string" ? `/agents/${agent}?tab=memory` : undefined;
    default:
      return entry.target_type === "agent" || id === agent ? `/agents/${id}` : undefined;
  }
}

export interface Line {
  text: string;
  /** The end of the text, linked to its page. */
  link?: { label: string; path: string };
}

function shown(value: unknown): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(shown).join(", ") || "none";
  return typeof value === "string" ? `“${value}”` : JSON.stringify(value);
}

/** Return counts as text: "1 added, 2 changed". */
function counted(counts: object): string {
  const told = Object.entries(counts).filter(([, number]) => number !== 0);
  return told.map(([what, number]) => `${number} ${what}`).join(", ");
}

function isCounts(change: object): boolean {
  return Object.values(change).every((value) => typeof value === "number");
}

function lineOf(field: string, change: unknown, entry: Entry): Line {
  const name = field.replace(/_id$/, "").replaceAll("_", " ");
  const isStatus = field === "status" && entry.target_type === "flow";
  const called = (value: unknown) => {
    if (typeof value !== "string") return shown(value);
    if (isStatus) return FLOW_STATUS[value] ?? value;
    if (field === "role") return roleLabel(value);
    return entry.names[value] !== undefined ? `“${entry.names[value]}”` : shown(value);
  };
  if (typeof change === "object" && change !== null && !Array.isArray(change)) {
    if ("before" in change && "after" in change) {
      const text = `${name}: ${called(change.before)} → ${called(change.after)}`;
      return field === "version" && entry.target_type === "flow" ? withVersion(text, change.after, entry) : { text };
    }
    if ("changed" in change && change.changed === true) return { text: `${name} changed` };
    if (isCounts(change)) return { text: `${name}: ${counted(change)}` };
  }
  if (field === "days") return { text: change === null ? "without expiry" : `for ${change} days` };
  const path = typeof change === "string" && change in entry.names ? pageOf(change, entry) : undefined;
  if (path === undefined) return { text: `${name}: ${called(change)}` };
  return { text: `${name}: `, link: { label: entry.names[change as string] ?? "", path } };
}

/** Link the number of a version, if the flow still exists. */
function withVersion(text: string, version: unknown, entry: Entry): Line {
  const id = entry.target_id ?? "";
  if (!(id in entry.names)) return { text };
  const label = String(version);
  return {
    text: text.slice(0, text.length - label.length),
    link: { label, path: `/flows/${id}/versions?version=${label}` },
  };
}

/** Return one line for each change: "status: Inactive → Active", "hosts changed", "nodes: 2 added". */
export function changesInWords(entry: Entry): Line[] {
  return Object.entries(entry.changes).map(([field, change]) => lineOf(field, change, entry));
}
