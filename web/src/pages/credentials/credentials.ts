import { type Credential, hostsOf } from "@/api/credentials";

/** Where a credential may go, in words. */
export function whereTo(credential: Credential): string {
  const hosts = hostsOf(credential);
  if (hosts === null) return "the hosts in its values, if any";
  return hosts.length === 0 ? "nowhere" : hosts.join(", ");
}
