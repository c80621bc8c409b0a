/** The value of an expression with the data of the last run. */
import { Text } from "@mantine/core";
import { useForm } from "../context";

export function Preview(_props: { text: string }) {
  const { expressions } = useForm();
  if (expressions?.runId === undefined) {
    return (
      <Text size="xs" c="var(--quiet)">
        No run yet: run the flow once to see values
      </Text>
    );
  }
  return null;
}
