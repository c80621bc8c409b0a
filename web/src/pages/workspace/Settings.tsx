/** Settings of the workspace that all of its flows use: the time zone and the variables. */

import { ActionIcon, Code, Group, JsonInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { IconPencil, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { RemoveButton } from "@/ui/ConfirmDialog";
import { FormDialog, jsonOrText } from "@/ui/FormDialog";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows, Refused } from "@/ui/states";
import { Actions, Table, Td, Tr } from "@/ui/Table";

type Variable = Schemas["VariableOut"];

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

export default function Settings() {
  return (
    <Page title="Settings" about="Settings that all flows of this workspace share." docs="app">
      <TimeZone />
      <Variables />
    </Page>
  );
}

function TimeZone() {
  const { may, workspace } = useSession();
  const reload = useReload("/api/auth/session", "/api/schedules");
  const change = api.useMutation("patch", "/api/workspaces/{workspace}", {
    onSuccess: async () => {
      notify.done("Time zone saved");
      await reload();
    },
  });
  const params = { path: { workspace: workspace.id } };
  return (
    <Card title="Time zone">
      <Stack gap="xs">
        <Select
          label="Default time zone"
          description="For schedules, unless the flow or its schedule has a time zone of its own. Active schedules change at once."
          searchable
          limit={60}
          maw={420}
          data={ZONES}
          value={change.isPending ? change.variables.body.timezone : workspace.timezone}
          disabled={!may("owner") || change.isPending}
          onChange={(timezone) => timezone !== null && change.mutate({ params, body: { timezone } })}
        />
        {!may("owner") && <Quiet size="xs">Only owners can change it.</Quiet>}
        {change.error && <Refused error={change.error} />}
      </Stack>
    </Card>
  );
}

function Variables() {
  const { may } = useSession();
  const reload = useReload("/api/variables");
  const [edited, setEdited] = useState<Variable | "new" | null>(null);
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/variables");
  return (
    <Card title="Variables">
      <Stack gap="sm">
        <Group justify="space-between" align="flex-start" gap="xs">
          <Quiet maw={640}>
            Values that all flows can read as <Code>{"{{ vars.name }}"}</Code>. A variable of the flow with the same
            name takes precedence. A run keeps the values with which it started. Store passwords in Credentials instead.
          </Quiet>
          {may("editor") && (
            <Button variant="default" icon={IconPlus} onClick={() => setEdited("new")}>
              Add variable
            </Button>
          )}
        </Group>
        {isPending && <LoadingRows rows={2} />}
        {error && <Refused error={error} onRetry={() => void refetch()} />}
        {data?.items.length === 0 && <Text size="sm">No variables yet.</Text>}
        {data !== undefined && data.items.length > 0 && (
          <Table label="Variables" head={["Name", "Value", ""]}>
            {data.items.map((variable) => (
              <Row key={variable.name} variable={variable} onEdit={() => setEdited(variable)} onGone={reload} />
            ))}
          </Table>
        )}
        {edited !== null && (
          <Edit variable={edited === "new" ? null : edited} onClose={() => setEdited(null)} onSaved={reload} />
        )}
      </Stack>
    </Card>
  );
}

interface RowProps {
  variable: Variable;
  onEdit: () => void;
  onGone: () => Promise<void>;
}

function Row({ variable, onEdit, onGone }: RowProps) {
  const { may } = useSession();
  const { name, value } = variable;
  const text = JSON.stringify(value);
  return (
    <Tr>
      <Td fw={550} style={{ overflowWrap: "anywhere" }}>
        {name}
      </Td>
      <Td style={{ overflowWrap: "anywhere", maxWidth: 520 }}>
        <Code>{text.length > 200 ? `${text.slice(0, 200)}…` : text}</Code>
      </Td>
      <Actions>
        {may("editor") && (
          <>
            <ActionIcon variant="subtle" aria-label={`Edit ${name}`} onClick={onEdit}>
              <IconPencil size={18} aria-hidden />
            </ActionIcon>
            <RemoveButton
              label={`Delete ${name}`}
              title={`Delete “${name}”?`}
              action="Delete"
              onConfirm={async () => {
                await server.DELETE("/api/variables/{variable}", { params: { path: { variable: name } } });
                await onGone();
              }}
            >
              Flows that read it will fail from their next run on.
            </RemoveButton>
          </>
        )}
      </Actions>
    </Tr>
  );
}

interface EditProps {
  variable: Variable | null;
  onClose: () => void;
  onSaved: () => Promise<void>;
}

function Edit({ variable, onClose, onSaved }: EditProps) {
  const value = variable?.value ?? "";
  return (
    <FormDialog
      onClose={onClose}
      title={variable === null ? "Add variable" : `Edit “${variable.name}”`}
      centered={false}
      action="Save"
      initial={{
        name: variable?.name ?? "",
        text: typeof value === "string" ? value : JSON.stringify(value, null, 2),
      }}
      isReady={({ name }) => name !== ""}
      onSubmit={async ({ name, text }) => {
        await server.PUT("/api/variables/{variable}", {
          params: { path: { variable: name } },
          body: { value: jsonOrText(text) },
        });
        await onSaved();
      }}
    >
      {({ bind }) => (
        <>
          {variable === null && (
            <TextInput
              label="Name"
              description="Letters, digits and underscores"
              required
              pattern="[A-Za-z_][A-Za-z0-9_]*"
              maxLength={64}
              data-autofocus
              {...bind("name")}
            />
          )}
          <JsonInput
            label="Value"
            description="Text, a number, or JSON"
            autosize
            minRows={2}
            maxRows={14}
            {...bind("text")}
          />
        </>
      )}
    </FormDialog>
  );
}
