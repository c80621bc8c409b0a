import { Suspense } from "react";
import { lazily } from "@/ui/lazily";
import { useSession } from "../session";
import { useTour } from "./tour";

const TourCard = lazily(() => import("./TourCard"));

/** The tour, while it is on. */
export function TourHere() {
  const { user } = useSession();
  const { step } = useTour(user.id);
  if (step === null) return null;
  return (
    <Suspense fallback={null}>
      <TourCard userId={user.id} at={step} />
    </Suspense>
  );
}
