import { Alert, Code, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useCatalogue } from "@/api/catalogue";

/** Says that the server lacks the package that agents need, and how to install it. Nothing where it has it. */
export function NotInstalled() {
  const { catalogue } = useCatalogue();
  const command = catalogue?.find("agent")?.install;
  if (command == null) return null;
  return (
    <Alert
      color="yellow"
      variant="light"
      mb="md"
      title="Agents cannot run on this server yet"
      // Mantine's own yellow is too pale to be read.
      styles={{ title: { color: "var(--waiting)" }, icon: { color: "var(--waiting)" } }}
      icon={<IconAlertTriangle aria-hidden />}
    >
      <Text size="sm">
        A package that they need is not installed. On the server, run <Code>{command}</Code> and restart it.
      </Text>
    </Alert>
  );
}
