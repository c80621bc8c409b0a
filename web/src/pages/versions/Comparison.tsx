import { Group, SegmentedControl, Select, Text } from "@mantine/core";
import { Suspense } from "react";
import { diffOf, summaryOf } from "@/definition/diff";
import { lazily } from "@/ui/lazily";
import { Card } from "@/ui/Page";
import { Loading, Refused } from "@/ui/states";
import { NameVersion } from "./NameVersion";
import { Restore } from "./Restore";
import { useDefinition, type Version } from "./versions";

const GraphDiff = lazily(() => import("./GraphDiff"));
const JsonDiff = lazily(() => import("./JsonDiff"));
const OneVersion = lazily(() => import("./OneVersion"));

export type View = "graph" | "json" | "alone";
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

export function Comparison(props: ComparisonProps) {
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
          {before === 0 && (
            <Text size="sm" c="var(--quiet)">
              {latest === 1 ? "the only version so far" : "the first version"}
            </Text>
          )}
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
                allowDeselect={false}
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
