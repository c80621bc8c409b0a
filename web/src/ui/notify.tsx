import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCheck } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { messageOf } from "./states";

const CLOSE = {
  closeButtonProps: { "aria-label": "Close the notice" },
  // Beside a title Mantine makes it paler than can be read by everyone.
  styles: { description: { color: "var(--quiet)" } },
};

/** What just happened, in a corner of the page. */
export const notify = {
  done(message: ReactNode): void {
    notifications.show({ message, color: "teal", icon: <IconCheck size={18} aria-hidden />, ...CLOSE });
  },
  /** Why nothing happened. */
  hint(message: ReactNode): void {
    notifications.show({ message, color: "gray", ...CLOSE });
  },
  /** What did not work, with the server's words. It stays until it is closed. */
  refused(title: string, error: unknown): void {
    notifications.show({
      title,
      message: messageOf(error),
      color: "red",
      icon: <IconAlertTriangle size={18} aria-hidden />,
      autoClose: false,
      ...CLOSE,
    });
  },
};
