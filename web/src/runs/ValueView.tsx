import { ActionIcon, Button, CopyButton, Group, Stack, Text, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconDownload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { CodeEditor } from "@/ui/CodeEditor";
import { size } from "@/ui/format";
import { Loading, Refused } from "@/ui/states";
import classes from "./runs.module.css";
import { fetchWhole, referenceOf, textOf } from "./values";

interface ValueViewProps {
  title: string;
  value: unknown;
  /** Shown if there is no value. */
  nothing?: string;
  actions?: ReactNode;
}

/** Characters; longer values are shown on request only. */
const SHOWN_AT_ONCE = 200_000;

/** An input or output, as text or JSON. A large value is loaded on request or downloaded as a file. */
export function ValueView({ title, value, nothing = "None", actions }: ValueViewProps) {
  const reference = referenceOf(value);
  return (
    <section className={classes.value} aria-label={title}>
      {reference === null ? (
        <Whole title={title} value={value} nothing={nothing} actions={actions} />
      ) : (
        <Large title={title} path={reference.path} bytes={reference.bytes} actions={actions} />
      )}
    </section>
  );
}

function Head({ title, note, children }: { title: string; note?: string; children?: ReactNode }) {
  return (
    <Group className={classes.valueHead} justify="space-between" wrap="nowrap" gap="xs">
      <Text size="sm" fw={600} component="h3" truncate>
        {title}{" "}
        {note !== undefined && (
          <Text span size="xs" c="var(--quiet)" fw={400}>
            {note}
          </Text>
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
  value: unknown;
  nothing: string;
  actions?: ReactNode;
  note?: string;
}

function Whole({ title, value, nothing, actions, note }: WholeProps) {
  const [open, setOpen] = useState(false);
  const { text, language } = textOf(value);
  const isLarge = text.length > SHOWN_AT_ONCE && !open;
  return (
    <>
      <Head title={title} note={note}>
        {actions}
        {value !== null && value !== undefined && <Copy text={text} title={title} />}
      </Head>
      <div className={classes.valueBody}>
        {value === null || value === undefined ? (
          <Text size="sm" c="var(--quiet)" p="sm">
            {nothing}
          </Text>
        ) : isLarge ? (
          <Stack p="sm" align="flex-start" gap="xs">
            <Text size="sm">Size: {size(text.length)}</Text>
            <Button size="xs" variant="default" onClick={() => setOpen(true)}>
              Show
            </Button>
          </Stack>
        ) : (
          <CodeEditor
            value={text}
            language={language}
            readOnly
            label={title}
            maxHeight="none"
            minHeight={0}
          />
        )}
      </div>
    </>
  );
}

function Copy({ text, title }: { text: string; title: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : "Copy"}>
          <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label={`Copy ${title.toLowerCase()}`}>
            {copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

function Large({
  title,
  path,
  bytes,
  actions,
}: {
  title: string;
  path: string;
  bytes: number;
  actions?: ReactNode;
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
    return <Whole title={title} value={data} nothing="None" actions={actions} note={size(bytes)} />;
  }
  return (
    <>
      <Head title={title} note={size(bytes)}>
        {actions}
      </Head>
      <Stack p="sm" align="flex-start" gap="xs">
        <Text size="sm">This value is large. Load it only if you need it.</Text>
        <Group gap="xs">
          <Button
            size="xs"
            variant="default"
            loading={wanted && error === null}
            onClick={() => setWanted(true)}
          >
            Load
          </Button>
          <Button
            size="xs"
            variant="default"
            component="a"
            href={path}
            download={`${title.toLowerCase()}.json`}
            leftSection={<IconDownload size={14} aria-hidden />}
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
