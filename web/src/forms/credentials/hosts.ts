/** The hosts that a credential may be sent to, as people type them. */

/** What is wrong with a host: it is a name, perhaps with `*.` before it, without scheme, path or port. */
export function hostFault(host: string): string | undefined {
  if (/^[a-z]+:\/\//i.test(host)) return `${host}: leave out the ${host.split("://")[0]}://`;
  if (/[/\s?#@]/.test(host)) return `${host}: the name of the host alone, without a path`;
  return undefined;
}

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
