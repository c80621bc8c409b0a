import { type Credential, type CredentialType, hostsOf } from "@/api/credentials";

/** Return a text for the hosts that a credential may be sent to. */
export function whereTo(credential: Credential, type: CredentialType | undefined): string {
  if (hostsOf(credential) === null && credential.connection) return "The hosts of its service";
  const hosts = hostsOf(credential) ?? (type?.needs_hosts ? [] : null);
  if (hosts === null) return "The host in its values";
  return hosts.length === 0 ? "None: nodes cannot send it" : hosts.join(", ");
}
