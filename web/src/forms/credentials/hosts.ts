/** The hosts that a credential may be sent to, as people type them. */

/** The host in an address that was pasted. */
export function hostIn(text: string): string {
  const typed = text.trim();
  if (!typed.includes("://")) return typed;
  try {
    return new URL(typed).hostname;
  } catch {
    return typed;
  }
}

/** The hosts of the addresses in a node's settings: where a credential that is made for it will be sent. */
export function hostsIn(config: Record<string, unknown> | undefined): string[] {
  const found = new Set<string>();
  for (const value of Object.values(config ?? {})) {
    const host =
      typeof value === "string" ? /^https?:\/\/([^/?#\s:{}]+)(?=[/?#:]|$)/.exec(value)?.[1] : undefined;
    if (host !== undefined) found.add(host);
  }
  return [...found];
}
