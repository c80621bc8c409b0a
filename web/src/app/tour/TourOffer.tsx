import { Button, Group, Text } from "@mantine/core";
import { useSession } from "../session";
import { endTour, showStep, useTour } from "./tour";

/** Offer the tour until the user starts or declines it. */
export function TourOffer() {
  const { user } = useSession();
  const { isNew } = useTour(user.id);
  if (!isNew) return null;
  return (
    <Group gap="xs">
      <Text size="sm" c="var(--quiet)">
        New here? A tour of six steps shows where everything is.
      </Text>
      <Button size="compact-sm" variant="light" onClick={() => showStep(user.id, 0)}>
        Take the tour
      </Button>
      <Button size="compact-sm" variant="subtle" color="gray" onClick={() => endTour(user.id)}>
        No, thanks
      </Button>
    </Group>
  );
}
