import { Badge } from "@mantine/core";
import type { Schemas } from "@/api/client";
import { ERROR_KINDS } from "./words";

/** The kind of a failure as a badge; nothing if it is unknown, as in runs of earlier versions. */
export function ErrorKind({ kind }: { kind: Schemas["RunOut"]["error_kind"] }) {
  if (kind === null || kind === undefined) return null;
  return (
    <Badge size="sm" variant="default" tt="none" fw={500}>
      {ERROR_KINDS[kind]}
    </Badge>
  );
}
