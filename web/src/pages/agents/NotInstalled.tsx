import { Alert, Code, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useCatalogue } from "@/api/catalogue";

/** A notice with the command to install the package that agents need. Renders nothing if it is installed. */
export function NotInstalled() {
  const { catalogue } = useCatalogue();
  const command = catalogue?.find("agent")?.install;
  if (command == null) return null;
  return (
    <Alert
      color="yellow"
      variant="light"
      mb="md"
      title="Agents are not installed on this server"
      // Mantine's yellow has too little contrast for text.
      styles={{ title: { color: "var(--waiting)" }, icon: { color: "var(--waiting)" } }}
      icon={<IconAlertTriangle aria-hidden />}
    >
      <Text size="sm">
        Agents need an additional package. On the server, run <Code>{command}</Code> and restart it.
      </Text>
    </Alert>
  );
}
