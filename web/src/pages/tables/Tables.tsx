/** The workspace's tables and its key-value store, which all flows share. */
import { Anchor, Button, Tabs } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus, IconTable } from "@tabler/icons-react";
import { Link, useLocation } from "wouter";
import { api, server } from "@/api/client";
import { usePack } from "@/api/packs";
import { useReload } from "@/api/queries";
import { useSession } from "@/app/session";
import { NameDialog } from "@/ui/NameDialog";
import { Card, Page } from "@/ui/Page";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Table, Td, Tr } from "@/ui/Table";
import { Time } from "@/ui/Time";
import { useQueryState } from "@/ui/useQueryState";
import { StoreEntries } from "./StoreEntries";

const FILTERS = { tab: "tables" };

export default function Tables() {
  const { may } = useSession();
  const { values, change } = useQueryState(FILTERS);
  const [asked, asking] = useDisclosure(false);
  const [, go] = useLocation();
  const reload = useReload("/api/tables");
  const hasTables = usePack("tables");
  const tab = hasTables ? values.tab : "store";

  async function create(name: string) {
    const made = await server.POST("/api/tables", {
      body: { name, columns: [{ name: "name", type: "text" }] },
    });
    await reload();
    if (made.data !== undefined) go(`/tables/${made.data.id}`);
  }

  const button = may("editor") && tab === "tables" && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={asking.open}>
      New table
    </Button>
  );
  return (
    <Page
      title={hasTables ? "Tables" : "Key-value store"}
      docs="tables"
      about={
        hasTables
          ? "Rows that all flows of this workspace share. Flows read and write them with the Table node."
          : "Values that all flows of this workspace share."
      }
      actions={button}
    >
      <Tabs value={tab} onChange={(chosen) => change({ tab: chosen ?? "tables" })} keepMounted={false}>
        <Tabs.List>
          {hasTables && <Tabs.Tab value="tables">Tables</Tabs.Tab>}
          {may("operator") && <Tabs.Tab value="store">Key-value store</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="tables" pt="md">
          <List />
        </Tabs.Panel>
        <Tabs.Panel value="store" pt="md">
          <StoreEntries />
        </Tabs.Panel>
      </Tabs>
      <NameDialog
        opened={asked}
        onClose={asking.close}
        title="New table"
        action="Create"
        maxLength={100}
        hint="Flows use the table by this name"
        onName={create}
      />
    </Page>
  );
}

function List() {
  const { may } = useSession();
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/tables");
  if (isPending) return <LoadingRows rows={3} />;
  if (error) return <Refused error={error} onRetry={() => void refetch()} />;
  if (data.items.length === 0) {
    return (
      <Empty
        icon={<IconTable size={40} stroke={1.4} color="var(--quiet)" aria-hidden />}
        title="No tables yet"
        hint={
          may("editor")
            ? "Create one, or let a Table node with “Create table and columns” create it."
            : "Flows and editors can create tables."
        }
      />
    );
  }
  return (
    <Card pad={false}>
      <Table label="Tables" head={["Name", "Columns", "Rows", "Changed"]}>
        {data.items.map((table) => (
          <Tr key={table.id}>
            <Td style={{ overflowWrap: "anywhere" }}>
              <Anchor component={Link} href={`/tables/${table.id}`} size="sm" fw={550}>
                {table.name}
              </Anchor>
            </Td>
            <Td>{table.columns.map(({ name }) => name).join(", ")}</Td>
            <Td>{table.row_count.toLocaleString()}</Td>
            <Td>
              <Time at={table.updated_at} />
            </Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}
