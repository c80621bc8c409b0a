import { Button, Group, Modal, SimpleGrid, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconCircleCheck, IconKey } from "@tabler/icons-react";
import { Suspense, useMemo } from "react";
import { Link } from "wouter";
import { api } from "@/api/client";
import { useSession } from "@/app/session";
import { readDefinition } from "@/definition/read";
import { JsonView } from "@/ui/CodeEditor";
import { lazily } from "@/ui/lazily";
import { Needs } from "./Needs";
import { missingCredentials, type Template } from "./templates";
import classes from "./templates.module.css";
import { useTakeTemplate } from "./useTemplates";

const FlowGraph = lazily(() => import("@/graph/FlowGraph"));

/** The credentials that a template needs; missing ones are marked. */
function CredentialsNeeded({ template }: { template: Template }) {
  const { may } = useSession();
  const { data } = api.useQuery("get", "/api/credentials", { params: { query: { limit: 200 } } });
  if (template.credentials.length === 0) return null;
  const missing = data && missingCredentials(template, data.items);
  return (
    <Stack gap={6}>
      <Title order={3}>Credentials</Title>
      {template.credentials.map((needed) => {
        const isMissing = missing?.includes(needed);
        return (
          <Group key={needed.name} gap="xs" align="flex-start" wrap="nowrap">
            {isMissing === false ? (
              <IconCircleCheck size={18} color="var(--success)" role="img" aria-label="Available" />
            ) : (
              <IconKey size={18} color="var(--waiting)" aria-hidden />
            )}
            <Text size="sm">
              <b>{needed.name}</b> ({needed.type}) for {needed.for}
              {isMissing && " – missing in this workspace"}
            </Text>
          </Group>
        );
      })}
      {missing !== undefined && missing.length > 0 && may("editor") && (
        <Text size="sm" c="var(--quiet)">
          You can use the template now and add the credentials in the editor, or{" "}
          <Text component={Link} href="/credentials" inherit td="underline" c="var(--mantine-color-anchor)">
            add them first
          </Text>
          .
        </Text>
      )}
    </Stack>
  );
}

function Samples({ template }: { template: Template }) {
  const samples = [
    { title: "Sample input", value: template.sample_input },
    { title: "Sample output", value: template.expected_output },
  ].filter(({ value }) => value !== undefined && value !== null);
  return (
    <SimpleGrid cols={{ base: 1, sm: samples.length || 1 }}>
      {samples.map(({ title, value }) => (
        <Stack gap={6} key={title} miw={0}>
          <Title order={3}>{title}</Title>
          <JsonView value={value} label={title} maxHeight="220px" />
        </Stack>
      ))}
    </SimpleGrid>
  );
}

function Content({ template }: { template: Template }) {
  const { may } = useSession();
  const { take, isTaking } = useTakeTemplate();
  const definition = useMemo(() => readDefinition(template.definition), [template]);
  return (
    <Stack>
      <Text size="sm">{template.description}</Text>
      <Group justify="space-between">
        <Needs template={template} />
        <Group gap="sm">
          {!may("editor") && (
            <Text size="sm" c="var(--quiet)">
              Requires the editor role.
            </Text>
          )}
          <Button onClick={() => take(template)} loading={isTaking} disabled={!may("editor")} data-autofocus>
            Use template
          </Button>
        </Group>
      </Group>
      <div className={classes.graph}>
        <Suspense fallback={<Skeleton height="100%" />}>
          <FlowGraph definition={definition} label={`Graph of ${template.name}`} readable />
        </Suspense>
      </div>
      <CredentialsNeeded template={template} />
      <Samples template={template} />
    </Stack>
  );
}

/** The details of a template. */
export function TemplateDialog({
  template,
  onClose,
}: {
  template: Template | undefined;
  onClose: () => void;
}) {
  const isPhone = useMediaQuery("(max-width: 48em)");
  return (
    <Modal
      opened={template !== undefined}
      onClose={onClose}
      title={template?.name}
      size={960}
      fullScreen={isPhone}
      transitionProps={{ duration: 0 }}
    >
      {template && <Content template={template} />}
    </Modal>
  );
}
