import { type Credential, type CredentialType, hostsOf } from "@/api/credentials";

/** Return a text for the hosts that a credential may be sent to. */
export function whereTo(credential: Credential, type: CredentialType | undefined): string {
  if (hostsOf(credential) === null && credential.connection) return "the hosts of its service";
  const hosts = hostsOf(credential) ?? (type?.needs_hosts ? [] : null);
  if (hosts === null) return "the host in its values";
  return hosts.length === 0 ? "none: nodes cannot send it" : hosts.join(", ");
}
