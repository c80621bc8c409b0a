import { Group, Text, UnstyledButton } from "@mantine/core";
import type { Catalogue } from "@/api/catalogue";
import { NodeIcon } from "@/ui/NodeIcon";
import { Needs } from "./Needs";
import { categoryLabel, type Template, typesIn } from "./templates";
import classes from "./templates.module.css";

const ICONS = 5;

interface TemplateCardProps {
  template: Template;
  catalogue: Catalogue | undefined;
  onOpen: () => void;
}

/** A template in brief; a click opens its details. */
export function TemplateCard({ template, catalogue, onOpen }: TemplateCardProps) {
  const types = typesIn(template);
  return (
    <article className={classes.card}>
      <Group gap={4} aria-hidden wrap="nowrap">
        {types.slice(0, ICONS).map((type) => (
          <NodeIcon key={type} type={catalogue?.find(type)} size={26} />
        ))}
        {types.length > ICONS && (
          <Text size="xs" c="var(--quiet)">
            +{types.length - ICONS}
          </Text>
        )}
      </Group>
      <UnstyledButton className={classes.open} onClick={onOpen}>
        {template.name}
      </UnstyledButton>
      <div className={classes.about}>
        <Text size="sm" c="var(--quiet)" lineClamp={3}>
          {template.description}
        </Text>
      </div>
      <Group justify="space-between" gap={6}>
        <Needs template={template} />
        <Text size="xs" c="var(--quiet)">
          {categoryLabel(template.category)}
        </Text>
      </Group>
    </article>
  );
}
