import { Group, Text, UnstyledButton } from "@mantine/core";
import { LoadMore } from "@/ui/LoadMore";
import { Card } from "@/ui/Page";
import { Time } from "@/ui/Time";
import type { useVersions, Version } from "./versions";
import classes from "./versions.module.css";

interface VersionListProps {
  versions: Version[];
  query: ReturnType<typeof useVersions>;
  latest: number;
  shown: number;
  onShow: (version: number) => void;
}

/** The versions with author, time and summary; a click compares a version with the previous one. */
export function VersionList({ versions, query, latest, shown, onShow }: VersionListProps) {
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
                <Text size="xs" c="var(--quiet)" component="span">
                  <Time at={version.created_at} />
                </Text>
              </Group>
              {version.name !== null && (
                <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                  {version.name}
                </Text>
              )}
              <Text size="xs">{version.version === 1 ? "First version" : version.summary}</Text>
              <Text size="xs" c="var(--quiet)">
                {version.created_by_name ?? "Former member"}
              </Text>
            </UnstyledButton>
          </li>
        ))}
      </ol>
      <LoadMore query={query} noun="versions" />
    </Card>
  );
}
