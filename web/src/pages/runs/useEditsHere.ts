import { useMediaQuery } from "@mantine/hooks";
import { useSession } from "@/app/session";

/** Whether the editor changes flows here: on a phone, and for some roles, it shows them alone. */
export function useEditsHere(): boolean {
  const { may } = useSession();
  const isPhone = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  return may("editor") && !isPhone;
}
