/** What the audit trail says, in words. */

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
  "memory.written": "Wrote into the memory of an agent",
  "memory.cleared": "Cleared the memory of an agent",
};

function shown(value: unknown): string {
  return typeof value === "string" ? `“${value}”` : JSON.stringify(value);
}

/** One line for each change: "status: “draft” → “active”", "hosts changed", "nodes added: 2". */
export function changesInWords(changes: Record<string, unknown>): string[] {
  return Object.entries(changes).map(([field, change]) => {
    const name = field.replaceAll("_", " ");
    if (typeof change === "object" && change !== null) {
      if ("before" in change && "after" in change)
        return `${name}: ${shown(change.before)} → ${shown(change.after)}`;
      if ("changed" in change) return `${name} changed`;
    }
    return `${name}: ${shown(change)}`;
  });
}
