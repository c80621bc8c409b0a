/** A file in a dialog: an image, the beginning of a text, or a link to open a PDF. */

import { Anchor, Code, Modal, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { identity } from "@/api/client";
import { useSession } from "@/app/session";
import { size } from "@/ui/format";
import { Quiet } from "@/ui/Quiet";
import { Loading, Refused } from "@/ui/states";
import { addressOf, type FileEntry } from "./folders";

/** Bytes of a text that are shown. */
const SHOWN = 100_000;

export default function Preview({ file, onClose }: { file: FileEntry; onClose: () => void }) {
  const { workspace } = useSession();
  const address = `${addressOf(file.path, workspace.id)}&inline=true`;
  return (
    <Modal opened onClose={onClose} title={file.name} size="xl">
      {file.content_type.startsWith("image/") ? (
        <img src={address} alt={file.name} style={{ maxWidth: "100%", maxHeight: "70vh" }} />
      ) : file.content_type === "application/pdf" ? (
        <Text size="sm">
          <Anchor href={address} target="_blank" rel="noopener noreferrer">
            Open {file.name} in a new tab
          </Anchor>
        </Text>
      ) : (
        <TextPreview file={file} address={address} />
      )}
    </Modal>
  );
}

async function readBeginning(address: string): Promise<string> {
  const options = { headers: { ...identity(), Range: `bytes=0-${SHOWN - 1}` } };
  const response = await fetch(address, options);
  if (!response.ok) throw new Error(`The file cannot be read (${response.status})`);
  return new TextDecoder().decode(await response.arrayBuffer());
}

function TextPreview({ file, address }: { file: FileEntry; address: string }) {
  const { data, error } = useQuery({
    queryKey: ["file", file.path, file.modified_at],
    queryFn: () => readBeginning(address),
  });
  if (error) return <Refused error={error} />;
  if (data === undefined) return <Loading label="Loading the file" />;
  return (
    <Stack gap="xs">
      <Code block tabIndex={0} mah="70vh" style={{ overflow: "auto" }}>
        {data}
      </Code>
      {file.size > SHOWN && (
        <Quiet size="xs">
          The first {size(SHOWN)} of {size(file.size)}. Download the file to see all of it.
        </Quiet>
      )}
    </Stack>
  );
}
