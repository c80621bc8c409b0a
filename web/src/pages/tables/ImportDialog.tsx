/** Import of a CSV file into a table: choose the file, map its headers to columns, show its errors. */
import { Alert, Button, Checkbox, FileInput, Group, List, Modal, Select, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { ApiError, identity, type Schemas } from "@/api/client";
import { Form, useAttempt } from "@/ui/form";
import { notify } from "@/ui/notify";
import { Refused } from "@/ui/states";
import { headersOf, type TableInfo } from "./cells";

type Imported = Schemas["ImportOut"];

const NEW = "+";
const IGNORE = "-";
const SAMPLE = 64 * 1024;

interface ImportProps {
  table: TableInfo;
  onClose: () => void;
  onDone: () => Promise<void>;
}

/** Send the file with its mapping. Throws ApiError. */
async function send(table: TableInfo, file: File, targets: Record<string, string>, skip: boolean): Promise<Imported> {
  const form = new FormData();
  const mapping = Object.entries(targets).map(([header, target]) => [
    header,
    target === IGNORE ? null : target === NEW ? header : target,
  ]);
  form.set("mapping", JSON.stringify(Object.fromEntries(mapping)));
  form.set("create_columns", String(Object.values(targets).includes(NEW)));
  form.set("skip_invalid", String(skip));
  form.set("file", file, file.name);
  const options = { method: "POST", body: form, headers: identity() };
  const response = await fetch(`/api/tables/${table.id}/import`, options);
  const body: unknown = await response.json().catch(() => ({ error: `The server answered ${response.status}` }));
  if (!response.ok) {
    const { error, details } = body as Schemas["Error"];
    throw new ApiError(response.status, error, details ?? []);
  }
  return body as Imported;
}

/** Return the likely column of each header: the one of the same name, else a new one. */
function guess(table: TableInfo, headers: string[]): Record<string, string> {
  const system = new Set(["id", "created_at", "updated_at"]);
  return Object.fromEntries(
    headers
      .filter((header) => header !== "")
      .map((header) => {
        const same = table.columns.find(({ name }) => name.toLowerCase() === header.toLowerCase());
        return [header, same?.name ?? (system.has(header.toLowerCase()) ? IGNORE : NEW)];
      }),
  );
}

export function ImportDialog({ table, onClose, onDone }: ImportProps) {
  const [file, setFile] = useState<File | null>(null);
  const [targets, setTargets] = useState<Record<string, string>>({});
  const [skip, setSkip] = useState(false);
  const { busy, error, setError, attempt } = useAttempt();
  const [result, setResult] = useState<Imported>();

  async function choose(next: File | null) {
    setFile(next);
    setError(null);
    setTargets(next === null ? {} : guess(table, headersOf(await next.slice(0, SAMPLE).text())));
  }

  async function sendFile(file: File) {
    const done = await send(table, file, targets, skip);
    await onDone();
    if (done.skipped > 0) return setResult(done);
    notify.done(`${done.imported.toLocaleString()} rows imported`);
    onClose();
  }

  const choices = [
    ...table.columns.map(({ name }) => ({ value: name, label: name })),
    { value: NEW, label: "New column" },
    { value: IGNORE, label: "Ignore" },
  ];
  return (
    <Modal opened onClose={onClose} title={`Import into “${table.name}”`} size="lg">
      {result !== undefined ? (
        <Stack>
          <Text size="sm">
            {result.imported.toLocaleString()} rows imported, {result.skipped.toLocaleString()} skipped:
          </Text>
          <List size="sm">
            {result.issues.map(({ line, message }) => (
              <List.Item key={line}>
                Line {line}: {message}
              </List.Item>
            ))}
          </List>
          <Group justify="flex-end">
            <Button onClick={onClose}>Done</Button>
          </Group>
        </Stack>
      ) : (
        <Form onSubmit={() => file !== null && attempt(() => sendFile(file))}>
          <Stack>
            <FileInput
              label="CSV file"
              description="UTF-8, at most 50 MB. The first line has the headers."
              placeholder="Choose a file"
              accept=".csv,.tsv,.txt,text/csv"
              value={file}
              onChange={(next) => void choose(next)}
              required
            />
            {Object.entries(targets).map(([header, target]) => (
              <Group key={header} justify="space-between" wrap="nowrap">
                <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                  {header}
                </Text>
                <Select
                  aria-label={`Column for ${header}`}
                  data={choices}
                  value={target}
                  onChange={(next) => next !== null && setTargets({ ...targets, [header]: next })}
                />
              </Group>
            ))}
            <Checkbox
              label="Skip rows that are not valid"
              description="Otherwise nothing is imported if one row is not valid"
              checked={skip}
              onChange={(event) => setSkip(event.currentTarget.checked)}
            />
            {error !== null && <Refused error={error} />}
            {error instanceof ApiError && error.details.length > 1 && (
              <Alert color="red" title="Rows that are not valid">
                <List size="sm">
                  {error.details.slice(0, 10).map(({ path, message }) => (
                    <List.Item key={path}>
                      {path}: {message}
                    </List.Item>
                  ))}
                </List>
              </Alert>
            )}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" loading={busy} disabled={file === null}>
                Import
              </Button>
            </Group>
          </Stack>
        </Form>
      )}
    </Modal>
  );
}
