import { Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { IconFileImport, IconPlus, IconTemplate } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "wouter";
import { useCatalogue } from "@/api/catalogue";
import { useSession } from "@/app/session";
import { TourOffer } from "@/app/tour/TourOffer";
import { useNewFlow } from "@/pages/flows/flows";
import { TemplateCard, TemplateDialog } from "@/pages/templates/TemplateCard";
import { firstSteps, useTemplates } from "@/pages/templates/templates";
import { Button } from "@/ui/Button";

import { LoadingRows, Refused } from "@/ui/states";

/** Shown while the workspace has no flow. */
export function FirstSteps() {
  const { may, user } = useSession();
  const { catalogue } = useCatalogue();
  const { data, error, refetch } = useTemplates();
  const [open, setOpen] = useState("");
  const begin = useNewFlow();
  if (!may("editor")) {
    return <Text>This workspace has no flows yet. A member with the editor role can create the first one.</Text>;
  }
  return (
    <Stack gap="lg">
      <div>
        <Title order={2}>Welcome, {user.name}</Title>
        <Text c="var(--quiet)">Start with a template that is ready to run: look at it, run it, and adapt it.</Text>
        <TourOffer />
      </div>
      {data ? (
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 4 }} spacing="sm">
          {firstSteps(data.items, 4).map((template) => (
            <TemplateCard
              key={template.id}
              template={template}
              catalogue={catalogue}
              onOpen={() => setOpen(template.id)}
            />
          ))}
        </SimpleGrid>
      ) : error ? (
        <Refused error={error} onRetry={() => void refetch()} />
      ) : (
        <LoadingRows rows={3} />
      )}
      <Group gap="xs">
        <Button component={Link} href="/templates" icon={IconTemplate}>
          See all templates
        </Button>
        <Button variant="default" icon={IconPlus} onClick={() => void begin()}>
          Start from scratch
        </Button>
        <Button component={Link} href="/flows?new=import" variant="default" icon={IconFileImport}>
          Import a flow
        </Button>
      </Group>
      <TemplateDialog template={data?.items.find((template) => template.id === open)} onClose={() => setOpen("")} />
    </Stack>
  );
}
