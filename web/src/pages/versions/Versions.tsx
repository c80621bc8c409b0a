import { Group, List, SegmentedControl, Select, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { IconRestore, IconRoute } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { useSession } from "@/app/session";
import { type DefinitionDiff, diffOf, summaryOf } from "@/definition/diff";
import { Button } from "@/ui/Button";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { itemsOf, LoadMore } from "@/ui/LoadMore";
import { lazily } from "@/ui/lazily";
import { useQueryState } from "@/ui/listState";
import { notify } from "@/ui/notify";
import { Card, Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, Loading, LoadingRows, messageOf, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { NameVersion } from "./NameVersion";
import { useDefinition, useRestore, useVersions, type Version } from "./versions";
import classes from "./versions.module.css";

interface VersionListProps {
  versions: Version[];
  query: ReturnType<typeof useVersions>;
  latest: number;
  shown: number;
  onShow: (version: number) => void;
}

/** The versions with author, time and summary; a click compares a version with the previous one. */
function VersionList({ versions, query, latest, shown, onShow }: VersionListProps) {
  return (
    <Card pad={false}>
      <ol className={classes.list} aria-label="Versions" reversed>
        {versions.map((version) => (
          <li key={version.version}>
            <UnstyledButton
              className={classes.version}
              aria-current={version.version === shown}
              onClick={() => onShow(version.version)}
            >
              <Group justify="space-between" gap="xs" wrap="nowrap">
                <Text size="sm" fw={600}>
                  Version {version.version}
                  {version.version === latest && " (current)"}
                </Text>
                <Quiet size="xs" component="span">
                  <Time at={version.created_at} />
                </Quiet>
              </Group>
              {version.name !== null && (
                <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                  {version.name}
                </Text>
              )}
              <Text size="xs">{version.version === 1 ? "First version" : version.summary}</Text>
              <Quiet size="xs">{version.created_by_name ?? "Former member"}</Quiet>
            </UnstyledButton>
          </li>
        ))}
      </ol>
      <LoadMore query={query} noun="versions" />
    </Card>
  );
}

const MOST_NAMED = 8;
const WORDS = { added: "is added back", removed: "is removed", changed: "changes back" };

interface RestoreProps {
  id: string;
  version: number;
  latest: number;
  isActive: boolean;
  onRestored: () => void;
}

function Restore({ id, version, latest, isActive, onRestored }: RestoreProps) {
  const { may } = useSession();
  const [asking, setAsking] = useState(false);
  const restore = useRestore(id);
  return (
    <>
      <Tooltip label="Requires the editor role" disabled={may("editor")}>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconRestore size={16} aria-hidden />}
          disabled={!may("editor")}
          onClick={() => setAsking(true)}
        >
          Restore
        </Button>
      </Tooltip>
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title={`Restore version ${version}?`}
        action="Restore"
        onConfirm={async () => {
          const made = await restore(version);
          notify.done(`Version ${version} restored as version ${made}`);
          onRestored();
        }}
      >
        <Stack gap="sm">
          <WhatChanges id={id} version={version} latest={latest} />
          <Text size="sm">
            The flow is changed back to version {version}. This creates a new version; version {latest} is kept.
          </Text>
          {isActive && (
            <Text size="sm">The flow is active: its triggers will start the restored version immediately.</Text>
          )}
        </Stack>
      </ConfirmDialog>
    </>
  );
}

/** The difference between the current version and the version to restore. */
function WhatChanges({ id, version, latest }: { id: string; version: number; latest: number }) {
  const now = useDefinition(id, latest);
  const then = useDefinition(id, version);
  const error = now.error ?? then.error;
  if (error) return <Text size="sm">The changes cannot be shown: {messageOf(error)}</Text>;
  if (now.definition === undefined || then.definition === undefined) return <Loading label="Comparing" />;
  const diff = diffOf(now.definition, then.definition);
  return (
    <div>
      <Text size="sm" fw={600}>
        Compared with the current version: {summaryOf(diff)}
      </Text>
      <Named diff={diff} />
    </div>
  );
}

function Named({ diff }: { diff: DefinitionDiff }) {
  if (diff.nodes.length === 0) return null;
  const more = diff.nodes.length - MOST_NAMED;
  return (
    <List size="sm" mt={4}>
      {diff.nodes.slice(0, MOST_NAMED).map(({ id, change, before, after }) => (
        <List.Item key={id} style={{ overflowWrap: "anywhere" }}>
          “{after?.name || before?.name || id}” {WORDS[change]}
        </List.Item>
      ))}
      {more > 0 && <List.Item>and {more} more</List.Item>}
    </List>
  );
}

const GraphDiff = lazily(() => import("./GraphDiff"));
const JsonDiff = lazily(() => import("./JsonDiff"));
const OneVersion = lazily(() => import("./OneVersion"));

type View = "graph" | "json" | "alone";
const VIEWS: { value: View; label: string }[] = [
  { value: "graph", label: "Graph" },
  { value: "json", label: "JSON" },
  { value: "alone", label: "This version" },
];

interface ComparisonProps {
  id: string;
  latest: number;
  /** True if the flow is active: its triggers will start the restored version. */
  isActive: boolean;
  /** The versions that are loaded, with their names. */
  versions: readonly Version[];
  /** The version before the first one is 0. */
  before: number;
  after: number;
  view: View;
  node: string;
  onChange: (
    changes: { with?: string; version?: string; view?: string; node?: string },
    how?: { replace?: boolean },
  ) => void;
}

function Comparison(props: ComparisonProps) {
  const { id, latest, isActive, versions, before, after, onChange } = props;
  const shown = versions.find((one) => one.version === after);
  const labelOf = (number: number) => {
    const name = versions.find((one) => one.version === number)?.name;
    return name ? `Version ${number}: ${name}` : `Version ${number}`;
  };
  const view = before === 0 ? "alone" : props.view;
  const others = Array.from({ length: latest }, (_, at) => latest - at).filter((number) => number !== after);
  return (
    <Card pad={false}>
      <Group p="sm" gap="sm" justify="space-between" style={{ borderBottom: "1px solid var(--line)" }}>
        <Group gap="xs">
          <Text size="sm" fw={600} style={{ overflowWrap: "anywhere" }}>
            {labelOf(after)}
          </Text>
          {before === 0 && <Quiet>{latest === 1 ? "the only version so far" : "the first version"}</Quiet>}
          {before > 0 && view !== "alone" && (
            <>
              <Text size="sm">compared with</Text>
              <Select
                aria-label="Version to compare with"
                size="xs"
                w={180}
                data={others.map((number) => ({ value: String(number), label: labelOf(number) }))}
                value={String(before)}
                onChange={(value) => value && onChange({ with: value, node: "" })}
                searchable={others.length > 10}
              />
            </>
          )}
        </Group>
        <Group gap="xs">
          {before > 0 && (
            <SegmentedControl
              size="xs"
              aria-label="View"
              data={VIEWS}
              value={view}
              onChange={(value) => onChange({ view: value })}
            />
          )}
          {shown !== undefined && <NameVersion key={after} id={id} version={shown} />}
          {after !== latest && (
            <Restore
              id={id}
              version={after}
              latest={latest}
              isActive={isActive}
              onRestored={() => onChange({ version: "", with: "", node: "" })}
            />
          )}
        </Group>
      </Group>
      {shown?.note && (
        <Text
          size="sm"
          px="md"
          py="xs"
          style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere", borderBottom: "1px solid var(--line)" }}
        >
          {shown.note}
        </Text>
      )}
      <Content key={`${before} ${after}`} {...props} view={view} />
    </Card>
  );
}

function Content({ id, before, after, view, node, onChange }: ComparisonProps) {
  const young = useDefinition(id, after);
  const old = useDefinition(id, view === "alone" ? 0 : before);
  const failed = [young, old].find((one) => one.error);
  if (failed) return <Refused error={failed.error} onRetry={failed.retry} />;
  if (young.definition === undefined || (view !== "alone" && old.definition === undefined)) {
    return <Loading label="Loading the version" />;
  }
  return (
    <Suspense fallback={<Loading label="Loading the comparison" />}>
      {view === "alone" || old.definition === undefined ? (
        <OneVersion definition={young.definition} />
      ) : (
        <>
          <Text size="sm" px="md" py="xs" role="status" style={{ borderBottom: "1px solid var(--line)" }}>
            {summaryOf(diffOf(old.definition, young.definition))}
          </Text>
          {view === "json" ? (
            <JsonDiff before={old.definition} after={young.definition} />
          ) : (
            <GraphDiff
              before={old.definition}
              after={young.definition}
              node={node}
              onNode={(id) => onChange({ node: id }, { replace: true })}
            />
          )}
        </>
      )}
    </Suspense>
  );
}

/** `node`: the id of the node whose change is open. */
const SHOWN = { version: "", with: "", view: "graph", node: "" };

/** Return the version number in the address; null if it is not valid. */
function numberOf(text: string, latest: number): number | undefined {
  const number = Number(text);
  return Number.isInteger(number) && number > 0 && number <= latest ? number : undefined;
}

export default function Versions({ id }: { id: string }) {
  const { data: flow } = api.useQuery("get", "/api/workflows/{flow}", { params: { path: { flow: id } } });
  const query = useVersions(id);
  const { values, change } = useQueryState(SHOWN);
  const versions = itemsOf(query.data);
  const latest = versions[0]?.version ?? 0;
  const after = numberOf(values.version, latest) ?? latest;
  const isUnknown = values.version !== "" && numberOf(values.version, latest) === undefined;
  const chosen = numberOf(values.with, latest);
  const before = chosen !== undefined && chosen !== after ? chosen : after - 1;
  return (
    <Page
      title={flow ? `Versions of ${flow.name}` : "Versions"}
      above={{ path: "/flows", label: "Flows" }}
      width={1500}
      actions={
        <Button component={Link} href={`/flows/${id}`} variant="default" icon={IconRoute}>
          Open in editor
        </Button>
      }
    >
      {query.data === undefined ? (
        query.error ? (
          <Refused error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <LoadingRows />
        )
      ) : (
        <div className={classes.sides}>
          <VersionList
            versions={versions}
            query={query}
            latest={latest}
            shown={after}
            // Use the number even for the latest version: the link must show the same version when there are newer
            // ones.
            onShow={(version) => change({ version: String(version), with: "", node: "" })}
          />
          {isUnknown ? (
            <Card>
              <Empty
                title={`Version ${values.version} not found`}
                hint={`The flow has the versions 1 to ${latest}.`}
                action={
                  <Button variant="default" onClick={() => change({ version: "", with: "", node: "" })}>
                    Show latest version
                  </Button>
                }
              />
            </Card>
          ) : (
            <Comparison
              id={id}
              latest={latest}
              isActive={flow?.status === "active"}
              versions={versions}
              before={before}
              after={after}
              view={values.view as View}
              node={values.node}
              onChange={change}
            />
          )}
        </div>
      )}
    </Page>
  );
}
