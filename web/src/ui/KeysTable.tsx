import { Kbd, Table, Text } from "@mantine/core";

/** Keyboard shortcuts: the keys, and what they do. */
export type Keys = readonly (readonly [keys: string, what: string])[];

export function KeysTable({ keys }: { keys: Keys }) {
  return (
    <Table>
      <Table.Tbody>
        {keys.map(([pressed, what]) => (
          <Table.Tr key={pressed}>
            <Table.Td>
              <Kbd display="inline-block">{pressed}</Kbd>
            </Table.Td>
            <Table.Td>
              <Text size="sm">{what}</Text>
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
