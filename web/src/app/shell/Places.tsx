/** The navigation: the pages that the role may open. */

import { Badge, Indicator, NavLink } from "@mantine/core";
import {
  IconFiles,
  IconHistory,
  IconKey,
  IconLayoutDashboard,
  IconListDetails,
  IconPlayerPlay,
  IconRobot,
  IconRoute,
  IconSettings,
  IconShieldLock,
  IconTable,
  IconTemplate,
  IconUserCheck,
  IconUsers,
} from "@tabler/icons-react";
import { Link, useLocation } from "wouter";
import { type Pack, usePacksOff } from "@/api/catalogue";
import { api } from "@/api/client";
import { CALM } from "@/api/queries";
import { Quiet } from "@/ui/Quiet";
import { type Role, useSession } from "../session";

export interface Place {
  path: string;
  label: string;
  icon: typeof IconRoute;
  role?: Role;
  /** The pack without which the page is left out. */
  pack?: Pack;
}

export const PLACES: Place[] = [
  { path: "/", label: "Dashboard", icon: IconLayoutDashboard },
  { path: "/flows", label: "Flows", icon: IconRoute },
  { path: "/templates", label: "Templates", icon: IconTemplate },
  { path: "/runs", label: "Runs", icon: IconPlayerPlay },
  { path: "/waiting", label: "Approvals", icon: IconUserCheck },
  { path: "/agents", label: "Agents", icon: IconRobot, pack: "agents" },
  { path: "/logs", label: "Logs", icon: IconListDetails },
];

export const WORKSPACE: Place[] = [
  { path: "/credentials", label: "Credentials", icon: IconShieldLock },
  { path: "/files", label: "Files", icon: IconFiles },
  { path: "/tables", label: "Tables", icon: IconTable },
  { path: "/members", label: "Members", icon: IconUsers },
  { path: "/tokens", label: "API tokens", icon: IconKey },
  { path: "/settings", label: "Settings", icon: IconSettings },
  { path: "/audit", label: "Audit log", icon: IconHistory, role: "owner" },
];

/** Return whether a page is here for the role, with the packs that the server has. */
export function useIsOpen(): (place: Pick<Place, "role" | "pack">) => boolean {
  const { may } = useSession();
  const isOff = usePacksOff();
  return ({ role, pack }) => (role === undefined || may(role)) && (pack === undefined || !isOff(pack));
}

function isAt(path: string, here: string): boolean {
  return path === "/" ? here === "/" : here === path || here.startsWith(`${path}/`);
}

interface PlacesProps {
  /** True to show icons only, on pages that need the width. */
  compact: boolean;
  onGo: () => void;
}

export function Places({ compact, onGo }: PlacesProps) {
  return (
    <>
      <Links places={PLACES} compact={compact} onGo={onGo} />
      {compact ? (
        <hr style={{ border: 0, borderTop: "1px solid var(--line)", margin: "8px 4px" }} />
      ) : (
        <Quiet size="xs" fw={600} mt="md" mb={4} px="sm">
          Workspace
        </Quiet>
      )}
      <Links places={WORKSPACE} compact={compact} onGo={onGo} />
    </>
  );
}

function Links({ places, compact, onGo }: PlacesProps & { places: Place[] }) {
  const [here] = useLocation();
  const waiting = useWaitingCount();
  return places.filter(useIsOpen()).map(({ path, label, icon: Icon }) => {
    const count = path === "/waiting" ? waiting : 0;
    const active = isAt(path, here);
    const icon = <Icon size={18} stroke={1.7} aria-hidden />;
    return (
      <NavLink
        key={path}
        title={compact ? label : undefined}
        component={Link}
        href={path}
        label={compact ? undefined : label}
        aria-label={compact ? (count > 0 ? `${label}, ${count}` : label) : undefined}
        onClick={onGo}
        active={active}
        aria-current={active ? "page" : undefined}
        leftSection={compact ? <Indicator disabled={count === 0}>{icon}</Indicator> : icon}
        rightSection={!compact && count > 0 ? <Count count={count} /> : undefined}
        bdrs="md"
        py={7}
      />
    );
  });
}

function Count({ count }: { count: number }) {
  return (
    <Badge size="sm" circle={count < 10}>
      {count}
    </Badge>
  );
}

/** Return the number of runs that wait for an answer, up to the length of the list that is fetched. */
function useWaitingCount(): number {
  const { data } = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { waiting: true, limit: 50 } } },
    { refetchInterval: 3 * CALM, staleTime: CALM },
  );
  return data?.items.length ?? 0;
}
