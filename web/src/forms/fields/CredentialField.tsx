/** A credential of a matching type: choose one by name, or create one in place. */

import { ActionIcon, Group, Select, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import { IconPencil, IconPlugConnected, IconPlus } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { ACCOUNT, needsConnection, useConnecting } from "@/api/accounts";
import { type Credential, hostsOf, useCredentials, useCredentialTypes } from "@/api/credentials";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { messageOf } from "@/ui/states";
import { useFormConnector } from "../connector/operations";
import { useForm } from "../context";
import { CredentialDialog } from "../credentials/CredentialDialog";
import { fitsService, hostsIn, hostsNotIn, withVariables } from "../credentials/hosts";
import { type InputProps, useShared } from "./FieldFrame";

const ConnectDialog = lazily(() => import("../connector/ConnectDialog"));
const EditDialog = lazily(() => import("../credentials/EditDialog"));

export function CredentialField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const { readOnly, error, ...shared } = useShared(props);
  const { expressions } = useForm();
  const form = useFormConnector();
  const connector = form?.connector;
  const node = expressions?.definition.nodes.find((one) => one.id === expressions.nodeId);
  const { may } = useSession();
  const { data: credentials } = useCredentials();
  const { types } = useCredentialTypes();
  const [isMaking, setMaking] = useState(false);
  const [isEditing, setEditing] = useState(false);
  const hosts = hostsIn(withVariables(node?.config, expressions?.definition.settings?.vars));
  const mayEdit = !readOnly && may("editor");
  const fitting = leaf.credentialTypes ?? [];
  // A trigger may also have a secret that is none of the connector's accounts.
  const offersWays = connector?.auth.some((way) => fitting.includes(way.type)) && !leaf.isOwnSecret;
  const chosen = typeof value === "string" && value !== "" ? value : null;
  const operation = connector?.operations.find((one) => one.id === form?.operation);
  const scopes = [...(operation?.scopes ?? []), ...(leaf.scopes ?? [])];
  const asksToConnect = offersWays && chosen === null;
  const ofType = (credentials ?? []).filter((one) => fitting.length === 0 || fitting.includes(one.type));
  // A server of one's own has other hosts than the service.
  const auth = node?.config?.address ? [] : (connector?.auth ?? []);
  const usable = ofType.filter((one) => fitsService(one, auth));
  const found = credentials?.find((one) => one.name === chosen || one.id === chosen);
  const isMissing = credentials !== undefined && chosen !== null && found === undefined;
  const isUnfit = found !== undefined && !ofType.includes(found);
  const notice = isMissing
    ? `Credential “${chosen}” not found in this workspace`
    : isUnfit
      ? `“${chosen}” has the wrong type: ${types?.find(found.type)?.name ?? found.type}`
      : undefined;
  const named = [...new Set([...usable.map((one) => one.name), ...(chosen === null ? [] : [chosen])])];

  return (
    <div>
      <Group gap={4} wrap={asksToConnect ? "wrap" : "nowrap"} align="flex-start">
        <Select
          {...shared}
          allowDeselect
          flex={asksToConnect ? "1 1 100%" : 1}
          data={named}
          value={chosen}
          onChange={(next) => onChange(next ?? undefined)}
          placeholder={
            usable.length > 0 || credentials === undefined
              ? `Choose ${offersWays ? "an account" : "a credential"}`
              : offersWays
                ? "No account yet"
                : "No matching credential yet"
          }
          // An empty list has no role for screen readers; the placeholder says it.
          {...(named.length === 0 ? { dropdownOpened: false } : {})}
          nothingFoundMessage="No matching credential"
          renderOption={({ option }) => {
            const one = usable.find((other) => other.name === option.value);
            return (
              <Group gap="xs" justify="space-between" w="100%" wrap="nowrap">
                <Text size="sm" truncate>
                  {option.label}
                </Text>
                <Quiet size="xs">{one === undefined ? "not found" : (types?.find(one.type)?.name ?? one.type)}</Quiet>
              </Group>
            );
          }}
          searchable
          clearable={!leaf.required}
          clearButtonProps={{ "aria-label": `Clear ${leaf.label}` }}
          error={error ?? notice}
          readOnly={readOnly}
        />
        {mayEdit && found !== undefined && (
          <Tooltip label="Edit this credential">
            <ActionIcon variant="default" size={36} aria-label="Edit this credential" onClick={() => setEditing(true)}>
              <IconPencil size={16} aria-hidden />
            </ActionIcon>
          </Tooltip>
        )}
        {mayEdit && (
          <Button
            variant={asksToConnect ? "filled" : "default"}
            px="sm"
            icon={asksToConnect ? IconPlugConnected : IconPlus}
            onClick={() => setMaking(true)}
          >
            {asksToConnect ? (
              `Connect ${connector?.service.name}`
            ) : (
              <>
                New<VisuallyHidden> {offersWays ? "account" : "credential"}</VisuallyHidden>
              </>
            )}
          </Button>
        )}
      </Group>
      {found !== undefined && <HostsWarning credential={found} hosts={hosts} />}
      {mayEdit && found?.type === ACCOUNT && needsConnection(found) && <NotConnected credential={found} />}
      {isEditing && found !== undefined && (
        <Suspense fallback={null}>
          <EditDialog
            credential={found}
            onClose={() => setEditing(false)}
            // The node refers to it by name.
            onDone={(name) => chosen !== found.id && name !== chosen && onChange(name)}
          />
        </Suspense>
      )}
      {isMaking && offersWays && connector !== undefined && (
        <Suspense fallback={null}>
          <ConnectDialog
            connector={connector}
            scopes={scopes}
            only={fitting}
            suggestedName={isMissing ? (chosen ?? "") : ""}
            onClose={() => setMaking(false)}
            onDone={(made) => onChange(made.name)}
          />
        </Suspense>
      )}
      {isMaking && !offersWays && (
        <CredentialDialog
          only={fitting}
          suggestedName={isMissing ? (chosen ?? "") : ""}
          suggestedHosts={hosts}
          onClose={() => setMaking(false)}
          onDone={(made) => onChange(made.name)}
        />
      )}
    </div>
  );
}

/** Connect the account of a credential that was saved without, or whose connection has ended. */
function NotConnected({ credential }: { credential: Credential }) {
  const { isWaiting, problem, start } = useConnecting(credential.id);
  return (
    <Group gap="xs" mt={4} role="status">
      <Text size="xs" c="var(--waiting)">
        {problem === null ? "Account not connected" : messageOf(problem)}
      </Text>
      <Button size="compact-xs" variant="default" loading={isWaiting} onClick={() => void start()}>
        Connect
      </Button>
    </Group>
  );
}

/** Warn before a run fails: a credential is sent to its allowed hosts only. */
function HostsWarning({ credential, hosts }: { credential: Credential; hosts: readonly string[] }) {
  const allowed = hostsOf(credential);
  const refused = allowed === null ? [] : hostsNotIn(hosts, allowed);
  if (refused.length === 0) return null;
  return (
    <Text size="xs" c="var(--waiting)" role="status" mt={4}>
      This credential is sent only to {allowed?.join(", ")}, not to {refused.join(", ")}. Edit its allowed hosts, or
      choose another one.
    </Text>
  );
}
