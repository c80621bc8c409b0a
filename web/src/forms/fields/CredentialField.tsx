/** A credential of a matching type: choose one by name, or create one in place. */
import { Button, Group, Select, Text, VisuallyHidden } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { useCredentials, useCredentialTypes } from "@/api/credentials";
import { useSession } from "@/app/session";
import { useForm } from "../context";
import { CredentialDialog } from "../credentials/CredentialDialog";
import { hostsIn } from "../credentials/hosts";
import { type InputProps, useShared } from "./shared";

export function CredentialField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const { readOnly, error, ...shared } = useShared(props);
  const { expressions } = useForm();
  const node = expressions?.definition.nodes.find((one) => one.id === expressions.nodeId);
  const { may } = useSession();
  const { data: credentials } = useCredentials();
  const { types } = useCredentialTypes();
  const [isMaking, setMaking] = useState(false);
  const fitting = leaf.credentialTypes ?? [];
  const chosen = typeof value === "string" && value !== "" ? value : null;
  const usable = (credentials ?? []).filter((one) => fitting.length === 0 || fitting.includes(one.type));
  const found = credentials?.find((one) => one.name === chosen || one.id === chosen);
  const isMissing = credentials !== undefined && chosen !== null && found === undefined;
  const isUnfit = found !== undefined && !usable.includes(found);
  const notice = isMissing
    ? `Credential “${chosen}” not found in this workspace`
    : isUnfit
      ? `“${chosen}” has the wrong type: ${types?.find(found.type)?.name ?? found.type}`
      : undefined;
  const named = [...new Set([...usable.map((one) => one.name), ...(chosen === null ? [] : [chosen])])];

  return (
    <div>
      <Group gap={4} wrap="nowrap" align="flex-start">
        <Select
          {...shared}
          flex={1}
          data={named}
          value={chosen}
          onChange={(next) => onChange(next ?? undefined)}
          placeholder={
            usable.length > 0 || credentials === undefined
              ? "Select credential"
              : "No matching credential yet"
          }
          nothingFoundMessage="No matching credential"
          renderOption={({ option }) => {
            const one = usable.find((other) => other.name === option.value);
            return (
              <Group gap="xs" justify="space-between" w="100%" wrap="nowrap">
                <Text size="sm" truncate>
                  {option.label}
                </Text>
                <Text size="xs" c="var(--quiet)">
                  {one === undefined ? "not found" : (types?.find(one.type)?.name ?? one.type)}
                </Text>
              </Group>
            );
          }}
          searchable
          clearable={!leaf.required}
          clearButtonProps={{ "aria-label": `Clear ${leaf.label}` }}
          error={error ?? notice}
          readOnly={readOnly}
          comboboxProps={{ withinPortal: true }}
        />
        {!readOnly && may("editor") && (
          <Button
            variant="default"
            px="sm"
            leftSection={<IconPlus size={16} aria-hidden />}
            onClick={() => setMaking(true)}
          >
            New<VisuallyHidden> credential</VisuallyHidden>
          </Button>
        )}
      </Group>
      {isMaking && (
        <CredentialDialog
          only={fitting}
          suggestedName={isMissing ? (chosen ?? "") : ""}
          suggestedHosts={hostsIn(node?.config)}
          onClose={() => setMaking(false)}
          onDone={(made) => onChange(made.name)}
        />
      )}
    </div>
  );
}
