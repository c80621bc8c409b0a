import { useMediaQuery } from "@mantine/hooks";
import { useSession } from "@/app/session";

/** Return true if the editor can change flows here: it is read-only on a phone and for some roles. */
export function useEditsHere(): boolean {
  const { may } = useSession();
  const isPhone = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  return may("editor") && !isPhone;
}
