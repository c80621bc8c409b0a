import { type Credential, type CredentialType, hostsOf } from "@/api/credentials";

/** Where a credential of this type may be sent, in words. */
export function whereTo(credential: Credential, type: CredentialType | undefined): string {
  const hosts = hostsOf(credential) ?? (type?.needs_hosts ? [] : null);
  if (hosts === null) return "the host in its values";
  return hosts.length === 0 ? "nowhere: no host is allowed" : hosts.join(", ");
}
