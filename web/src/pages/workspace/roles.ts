import type { Role } from "@/app/session";

/** The roles of a workspace, from the least to the most; each may do what those before it may. */
export const ROLE_CHOICES: { value: Role; label: string; about: string }[] = [
  { value: "viewer", label: "Viewer", about: "looks at flows, runs and logs." },
  {
    value: "operator",
    label: "Operator",
    about: "runs flows and agents, cancels, retries and answers approvals.",
  },
  { value: "editor", label: "Editor", about: "makes and changes flows, agents and credentials." },
  {
    value: "owner",
    label: "Owner",
    about: "invites and removes members, and sees the audit trail and all API tokens.",
  },
];

export function roleLabel(role: string): string {
  return ROLE_CHOICES.find(({ value }) => value === role)?.label ?? role;
}
