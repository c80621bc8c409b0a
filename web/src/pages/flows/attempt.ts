import { notify } from "@/ui/notify";

/** Do something, and show the server's error under this title if it fails. Return true if it succeeded. */
export async function attempt(title: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    notify.refused(title, error);
    return false;
  }
}
