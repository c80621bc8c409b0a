import { polymorphic, Text, type TextProps } from "@mantine/core";

/** Text that explains: small, in the color of what matters less. */
export const Quiet = polymorphic<"p", TextProps>((props: TextProps) => <Text size="sm" c="var(--quiet)" {...props} />);
