import type { Role } from "@/app/session";

/** The roles of a workspace, lowest first. Each role includes the rights of those before it. */
export const ROLE_CHOICES: { value: Role; label: string; about: string }[] = [
  { value: "viewer", label: "Viewer", about: "can view flows, runs and logs." },
  {
    value: "operator",
    label: "Operator",
    about: "can run flows and agents, cancel and retry runs, and answer approvals.",
  },
  { value: "editor", label: "Editor", about: "can create and change flows, agents and credentials." },
  {
    value: "owner",
    label: "Owner",
    about: "can invite and remove members, and read the audit log and all API tokens.",
  },
];

/** Return what a role permits, as a sentence of its own. */
export function roleRights(role: Role): string {
  const about = ROLE_CHOICES.find(({ value }) => value === role)?.about ?? "";
  return about.charAt(0).toUpperCase() + about.slice(1);
}

export function roleLabel(role: string): string {
  return ROLE_CHOICES.find(({ value }) => value === role)?.label ?? role;
}
