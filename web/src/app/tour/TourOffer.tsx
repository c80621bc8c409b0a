import { Button, Group } from "@mantine/core";
import { Quiet } from "@/ui/Quiet";
import { useSession } from "../session";
import { endTour, showStep, useTour } from "./tour";

/** Offer the tour until the user starts or declines it. */
export function TourOffer() {
  const { user } = useSession();
  const { isNew } = useTour(user.id);
  if (!isNew) return null;
  return (
    <Group gap="xs">
      <Quiet>New here? A tour of six steps shows where everything is.</Quiet>
      <Button size="compact-sm" variant="light" onClick={() => showStep(user.id, 0)}>
        Take the tour
      </Button>
      <Button size="compact-sm" variant="subtle" color="gray" onClick={() => endTour(user.id)}>
        No, thanks
      </Button>
    </Group>
  );
}
