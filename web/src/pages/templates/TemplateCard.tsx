import { Badge, Button, Group, Modal, SimpleGrid, Skeleton, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconCircleCheck, IconKey, IconPlugConnected } from "@tabler/icons-react";
import { Suspense, useMemo } from "react";
import type { Catalogue } from "@/api/catalogue";
import { useCredentials, useCredentialTypes } from "@/api/credentials";
import { useSession } from "@/app/session";
import { readDefinition } from "@/definition/read";
import { JsonView } from "@/ui/CodeEditor";
import { lazily } from "@/ui/lazily";
import { NodeIcon } from "@/ui/NodeIcon";
import { Quiet } from "@/ui/Quiet";
import { categoryLabel, isReady, servicesIn, type Template, typesIn, useTakeTemplate } from "./templates";
import classes from "./templates.module.css";

/** The requirements of a template. */
function Needs({ template }: { template: Template }) {
  if (isReady(template)) {
    return (
      <Badge
        variant="light"
        color="gray"
        tt="none"
        c="var(--success)"
        leftSection={<IconCircleCheck size={14} aria-hidden />}
      >
        Ready to run
      </Badge>
    );
  }
  const keys = template.credentials.length;
  return (
    <Group gap={6}>
      {keys > 0 && (
        <Badge
          variant="light"
          color="gray"
          c="var(--mantine-color-text)"
          tt="none"
          leftSection={<IconKey size={14} aria-hidden />}
        >
          {keys === 1 ? "1 account" : `${keys} accounts`}
        </Badge>
      )}
      {(template.needs ?? []).map((need) => (
        <Badge
          key={need}
          variant="light"
          color="gray"
          c="var(--mantine-color-text)"
          tt="none"
          leftSection={<IconPlugConnected size={14} aria-hidden />}
        >
          Needs {need === "language model" ? "a language model" : need}
        </Badge>
      ))}
    </Group>
  );
}

const FlowGraph = lazily(() => import("@/graph/FlowGraph"));

/** The accounts and other credentials that a template needs. */
function CredentialsNeeded({ template }: { template: Template }) {
  const { types } = useCredentialTypes();
  const { data: kept } = useCredentials();
  if (template.credentials.length === 0) return null;
  return (
    <Stack gap={6}>
      <Title order={3}>Accounts</Title>
      {template.credentials.map((needed) => {
        const isKept = kept?.some((one) => one.name === needed.name);
        return (
          <Group key={needed.name} gap="xs" align="flex-start" wrap="nowrap">
            {isKept ? (
              <IconCircleCheck size={18} color="var(--success)" role="img" aria-label="Available" />
            ) : (
              <IconKey size={18} color="var(--waiting)" aria-hidden />
            )}
            <Text size="sm">
              <b>{needed.name}</b> for {needed.for}{" "}
              <Quiet span>· {types?.find(needed.type)?.name ?? needed.type}</Quiet>
            </Text>
          </Group>
        );
      })}
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
          {!may("editor") && <Quiet>Requires the editor role.</Quiet>}
          <Button onClick={() => take(template)} loading={isTaking} disabled={!may("editor")} data-autofocus>
            Use template
          </Button>
        </Group>
      </Group>
      <div className={classes.graph}>
        <Suspense fallback={<Skeleton height="100%" />}>
          <FlowGraph definition={definition} label={`Graph of ${template.name}`} />
        </Suspense>
      </div>
      <CredentialsNeeded template={template} />
      <Samples template={template} />
    </Stack>
  );
}

/** The details of a template. */
export function TemplateDialog({ template, onClose }: { template: Template | undefined; onClose: () => void }) {
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

const ICONS = 5;

interface TemplateCardProps {
  template: Template;
  catalogue: Catalogue | undefined;
  onOpen: () => void;
}

/** A template in brief; a click opens its details. */
export function TemplateCard({ template, catalogue, onOpen }: TemplateCardProps) {
  const services = servicesIn(template, catalogue);
  const types = services.length > 0 ? services : typesIn(template).map((type) => catalogue?.find(type));
  return (
    <article className={classes.card}>
      <Group gap={4} wrap="nowrap">
        {types.slice(0, ICONS).map((type, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the icons of a template never move
          <NodeIcon key={index} type={type} size={26} />
        ))}
        {types.length > ICONS && <Quiet size="xs">+{types.length - ICONS}</Quiet>}
        <Quiet size="xs" truncate>
          {services.map((service) => service.name).join(", ")}
        </Quiet>
      </Group>
      <UnstyledButton className={classes.open} onClick={onOpen}>
        {template.name}
      </UnstyledButton>
      <div className={classes.about}>
        <Quiet lineClamp={3}>{template.description}</Quiet>
      </div>
      <Group justify="space-between" gap={6}>
        <Needs template={template} />
        <Quiet size="xs">{categoryLabel(template.category)}</Quiet>
      </Group>
    </article>
  );
}
