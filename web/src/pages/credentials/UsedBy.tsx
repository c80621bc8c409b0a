import { Anchor, List } from "@mantine/core";
import { Link } from "wouter";
import type { CredentialUse } from "@/api/credentials";
import { count } from "@/ui/format";
import { Quiet } from "@/ui/Quiet";
import { FLOW_STATUS } from "@/ui/StatusBadge";

type User = NonNullable<CredentialUse["used_by"]>[number];

function pathOf(user: User): string {
  return user.type === "agent" ? `/agents/${user.id}` : `/flows/${user.id}`;
}

/** Return counts: "3 flows", "1 flow and 2 agents". If the list is cut off, only the total. */
export function countInWords(credential: CredentialUse): string {
  const users = credential.used_by ?? [];
  const all = credential.used_by_count ?? users.length;
  if (all === 0) return "nothing";
  if (all > users.length) return `${count(all)} flows and agents`;
  const parts = ["flow", "agent", "credential"].flatMap((type) => {
    const number = users.filter((user) => user.type === type).length;
    return number === 0 ? [] : [`${count(number)} ${type}${number === 1 ? "" : "s"}`];
  });
  const last = parts.pop();
  return parts.length === 0 ? `${last}` : `${parts.join(", ")} and ${last}`;
}

/** Return the active flows that use it, which prevent deleting it. */
export function activeUsers(credential: CredentialUse): User[] {
  return (credential.used_by ?? []).filter((user) => user.status === "active");
}

/** The flows and agents that use it, each with a link and its status, and the credentials that log in with it. */
export function UserList({ credential }: { credential: CredentialUse }) {
  const users = credential.used_by ?? [];
  const more = (credential.used_by_count ?? users.length) - users.length;
  return (
    <List size="sm" spacing={2} mah={240} style={{ overflow: "auto" }}>
      {users.map((user) => (
        <List.Item key={`${user.type} ${user.id}`} style={{ overflowWrap: "anywhere" }}>
          {user.type === "credential" ? (
            user.name
          ) : (
            <Anchor component={Link} href={pathOf(user)} size="sm" underline="always">
              {user.name}
            </Anchor>
          )}{" "}
          <Quiet span size="xs">
            {user.type === "flow" ? FLOW_STATUS[user.status ?? ""]?.toLowerCase() : user.type}
          </Quiet>
        </List.Item>
      ))}
      {more > 0 && <List.Item>and {count(more)} more</List.Item>}
    </List>
  );
}
