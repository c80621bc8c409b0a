import { Alert, Button, FileButton, Group, List, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconFileUpload, IconInfoCircle } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { ApiError, type Schemas, server } from "@/api/client";
import type { FlowNode } from "@/definition/types";
import { useAttempt } from "@/ui/form";
import { DocsLink } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Refused } from "@/ui/states";
import { useFlowActions } from "./flows";
import { flowOf, type Imported, LARGEST_FILE, nameOfFile, readImport } from "./importing";

interface ImportDialogProps {
  opened: boolean;
  onClose: () => void;
  /** A file dropped on the page. */
  file?: File | undefined;
  /** The folder for the new flow; "" for none. */
  folder?: string;
}

/** Create a flow from a file, pasted JSON or a cURL command. */
export function ImportDialog({ opened, onClose, file, folder }: ImportDialogProps) {
  return (
    <Modal opened={opened} onClose={onClose} title="Import flow" size="lg">
      <Import onClose={onClose} file={file} folder={folder} />
    </Modal>
  );
}

type Made = { id: string; notes: string[]; credentials: Schemas["SuggestionOut"][] };

function Import({ onClose, file, folder = "" }: Omit<ImportDialogProps, "opened">) {
  const [, go] = useLocation();
  const [made, setMade] = useState<Made | null>(null);
  function done(result: Made) {
    if (result.notes.length + result.credentials.length > 0) return setMade(result);
    onClose();
    go(`/flows/${result.id}`);
  }
  return made ? <Outcome made={made} /> : <Source file={file} folder={folder} onMade={done} />;
}

/** The text to import and the flow's name, from a file or typed. */
function useSource(file: File | undefined) {
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [asked, setAsked] = useState<File | undefined>();
  const { busy, error, setError, attempt } = useAttempt();

  async function read(chosen: File | null) {
    if (chosen === null) return;
    setError(null);
    if (chosen.size > LARGEST_FILE) {
      setError(new Error(`${chosen.name} is larger than the maximum size of a flow.`));
      return;
    }
    const content = await chosen.text();
    const found = readImport(content);
    setText(content);
    setName((found.kind === "flow" && found.name) || nameOfFile(chosen.name));
  }
  if (file !== undefined && file !== asked) {
    setAsked(file);
    void read(file);
  }
  return { text, setText, name, setName, busy, error, setError, attempt, read };
}

interface SourceProps {
  file: File | undefined;
  folder: string;
  onMade: (made: Made) => void;
}

function Source({ file, folder, onMade }: SourceProps) {
  const { text, setText, name, setName, busy, error, setError, attempt, read } = useSource(file);
  const { create } = useFlowActions();
  const { catalogue } = useCatalogue();
  const isCopy = error instanceof ApiError && error.status === 409;
  const more = { folder: folder || null, refuse_copy: !isCopy };
  const found = readImport(text);
  const usual = found.kind === "flow" ? found.name : undefined;
  const start = catalogue?.types.find((type) => type.trigger && type.config_schema.required === undefined);

  async function made(source: Imported): Promise<Made> {
    if (source.kind === "flow") {
      const flow = await create(name.trim() || usual || "Imported flow", source.definition, more);
      return { id: flow.id, notes: [], credentials: [] };
    }
    if (source.kind !== "curl" || start === undefined) throw new Error("There is nothing to import.");
    const { data } = await server.POST("/api/import/curl", { body: { command: source.command } });
    if (data === undefined) throw new Error("The server's response contains no node.");
    const node = data.node as unknown as FlowNode;
    const flow = await create(name.trim() || node.name || "Request", flowOf(start.type, node), more);
    return { id: flow.id, notes: data.notes, credentials: data.credentials };
  }

  const isReady = found.kind === "flow" || (found.kind === "curl" && start !== undefined);
  return (
    <Stack>
      <Group justify="space-between">
        <Quiet>Drop a file on the page, choose a file, or paste text below.</Quiet>
        <FileButton onChange={(chosen) => void read(chosen)} accept="application/json,.json,.txt,.sh">
          {(button) => (
            <Button {...button} variant="default" size="xs" leftSection={<IconFileUpload size={16} aria-hidden />}>
              Choose file
            </Button>
          )}
        </FileButton>
      </Group>
      <Textarea
        label="Flow as JSON, or cURL command"
        placeholder={'{"name": …, "definition": …}   or   curl https://api.example.com/orders'}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setError(null);
        }}
        autosize
        minRows={6}
        maxRows={14}
        spellCheck={false}
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }}
        data-autofocus
      />
      <Findings found={found} />
      {isReady && (
        <TextInput
          label="Name"
          placeholder={usual ?? (found.kind === "curl" ? "Name from the URL" : "Imported flow")}
          value={name}
          maxLength={200}
          onChange={(event) => setName(event.currentTarget.value)}
        />
      )}
      {error !== null && <Refused error={error} />}
      <Group justify="flex-end">
        <Button onClick={() => void attempt(async () => onMade(await made(found)))} loading={busy} disabled={!isReady}>
          {isCopy ? "Import anyway" : "Import"}
        </Button>
      </Group>
    </Stack>
  );
}

/** Show the detected format of the text. */
function Findings({ found }: { found: Imported }) {
  if (found.kind === "nothing") return null;
  if (found.kind === "n8n") {
    return (
      <Alert color="gray" variant="light" icon={<IconInfoCircle aria-hidden />} title="n8n workflow">
        <Text size="sm">
          n8n workflows cannot be imported: their format differs. Single requests can be imported as cURL commands.{" "}
          <DocsLink page="coming-from-n8n">Matching nodes and expressions</DocsLink>
        </Text>
      </Alert>
    );
  }
  const said =
    found.kind === "flow"
      ? `A flow with ${found.definition.nodes.length} ${found.definition.nodes.length === 1 ? "node" : "nodes"}.`
      : found.kind === "curl"
        ? "An HTTP request. It becomes a flow with two nodes: a trigger and the request."
        : found.reason;
  return (
    <Text size="sm" c={found.kind === "refused" ? "var(--failed)" : "var(--success)"} role="status">
      {said}
    </Text>
  );
}

/** List the remaining steps after importing a cURL command. */
function Outcome({ made }: { made: Made }) {
  return (
    <Stack>
      <Text size="sm">The flow was created. Before you run it:</Text>
      <List size="sm" spacing="xs">
        {made.credentials.map((one) => (
          <List.Item key={one.name}>
            Create the credential <b>{one.name}</b> ({one.type}). Secrets were not imported.
          </List.Item>
        ))}
        {made.notes.map((note) => (
          <List.Item key={note}>{note}</List.Item>
        ))}
      </List>
      <Group justify="flex-end">
        <Button component={Link} href={`/flows/${made.id}`} data-autofocus>
          Open in editor
        </Button>
      </Group>
    </Stack>
  );
}
