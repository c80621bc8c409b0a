import { notifications } from "@mantine/notifications";
import { IconAlertTriangle, IconCheck } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { messageOf } from "./states";

const CLOSE = {
  closeButtonProps: { "aria-label": "Close notification" },
  // Next to a title Mantine reduces the contrast too far.
  styles: { description: { color: "var(--quiet)" } },
};

/** Show a notification of something that succeeded. */
export const notify = {
  done(message: ReactNode): void {
    notifications.show({ message, color: "teal", icon: <IconCheck size={18} aria-hidden />, ...CLOSE });
  },
  /** Show a notification that explains why nothing happened. */
  hint(message: ReactNode): void {
    notifications.show({ message, color: "gray", ...CLOSE });
  },
  /** Show an error with the server's message. It stays until it is closed. */
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
