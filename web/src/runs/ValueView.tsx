import { Group, Stack, Text } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCheck, IconCopy, IconDownload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Button } from "@/ui/Button";
import { size } from "@/ui/format";
import { IconButton } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import classes from "./runs.module.css";
import { sizeText } from "./value/kinds";
import { Views } from "./value/Views";
import { fetchWhole, referenceOf, textOf } from "./values";

interface ValueViewProps {
  title: string;
  /** Shown beside the title in place of the size. */
  note?: string;
  value: unknown;
  /** Shown if there is no value. */
  nothing?: string;
  actions?: ReactNode;
  /** The level of its heading. */
  level?: 2 | 3;
}

/** An input or output, in several views. A large value is loaded on request or downloaded as a file. */
export function ValueView({ title, note, value, nothing = "None", actions, level = 3 }: ValueViewProps) {
  const reference = referenceOf(value);
  return (
    <section className={classes.value} aria-label={title}>
      {reference === null ? (
        <Whole {...{ title, about: note, value, nothing, actions, level }} />
      ) : (
        <Large {...{ title, about: note, actions, level }} path={reference.path} bytes={reference.bytes} />
      )}
    </section>
  );
}

interface HeadProps {
  title: string;
  level: 2 | 3;
  note?: string;
  children?: ReactNode;
}

function Head({ title, level, note, children }: HeadProps) {
  return (
    <Group className={classes.valueHead} justify="space-between" wrap="nowrap" gap="xs">
      <Text size="sm" fw={600} component={`h${level}` as const} truncate>
        {title}{" "}
        {note !== undefined && (
          <Quiet span size="xs" fw={400}>
            {note}
          </Quiet>
        )}
      </Text>
      <Group gap={2} wrap="nowrap">
        {children}
      </Group>
    </Group>
  );
}

interface WholeProps {
  title: string;
  about?: string;
  value: unknown;
  nothing: string;
  actions?: ReactNode;
  level: 2 | 3;
  note?: string;
}

function Whole({ title, about, value, nothing, actions, level, note }: WholeProps) {
  const isThere = value !== null && value !== undefined;
  const notes = [about ?? sizeText(value), note].filter((one) => one !== undefined);
  return (
    <>
      <Head title={title} level={level} note={notes.join(", ")}>
        {actions}
        {isThere && <Copy value={value} title={title} />}
      </Head>
      {isThere ? (
        <Views title={title} value={value} />
      ) : (
        <Quiet className={classes.valueBody} p="sm">
          {nothing}
        </Quiet>
      )}
    </>
  );
}

function Copy({ value, title }: { value: unknown; title: string }) {
  const { copied, copy } = useClipboard();
  return (
    <IconButton
      label={`Copy ${title.toLowerCase()}`}
      tip={copied ? "Copied" : "Copy"}
      icon={copied ? IconCheck : IconCopy}
      iconSize={16}
      onClick={() => copy(textOf(value).text)}
    />
  );
}

function Large({
  title,
  about,
  path,
  bytes,
  actions,
  level,
}: {
  title: string;
  about?: string;
  path: string;
  bytes: number;
  actions?: ReactNode;
  level: 2 | 3;
}) {
  const [wanted, setWanted] = useState(false);
  const { data, error, refetch, isSuccess } = useQuery({
    queryKey: ["whole", path],
    queryFn: ({ signal }) => fetchWhole({ $ref: path, bytes }, signal),
    enabled: wanted,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 30_000,
  });
  if (isSuccess) {
    return <Whole {...{ title, about, actions, level }} value={data} nothing="None" note={size(bytes)} />;
  }
  return (
    <>
      <Head title={title} level={level} note={[about, size(bytes)].filter(Boolean).join(", ")}>
        {actions}
      </Head>
      <Stack p="sm" align="flex-start" gap="xs">
        <Text size="sm">This value is large. Load it only if you need it.</Text>
        <Group gap="xs">
          <Button size="xs" variant="default" loading={wanted && error === null} onClick={() => setWanted(true)}>
            Load
          </Button>
          <Button
            size="xs"
            variant="default"
            component="a"
            href={path}
            download={`${title.toLowerCase()}.json`}
            icon={IconDownload}
          >
            Download
          </Button>
        </Group>
        {wanted && error !== null && <Refused error={error} onRetry={() => void refetch()} />}
        {wanted && error === null && <Loading label="Loading" />}
      </Stack>
    </>
  );
}
