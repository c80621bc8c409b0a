/** The allowed hosts of a credential, as users enter them. */

/** Return the host of a pasted address. */
export function hostIn(text: string): string {
  const typed = text.trim();
  if (!typed.includes("://")) return typed;
  try {
    return new URL(typed).hostname;
  } catch {
    return typed;
  }
}

/** Return the hosts in a node's settings: a credential created for the node will be sent to them. */
export function hostsIn(config: Record<string, unknown> | undefined): string[] {
  const found = new Set<string>();
  for (const value of Object.values(config ?? {})) {
    const host =
      typeof value === "string" ? /^https?:\/\/([^/?#\s:{}]+)(?=[/?#:]|$)/.exec(value)?.[1] : undefined;
    if (host !== undefined) found.add(host);
  }
  return [...found];
}
