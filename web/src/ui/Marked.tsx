import { Mark } from "@mantine/core";

/** A text with the first place of a search in it marked. */
export function Marked({ text, search }: { text: string; search: string }) {
  const at = search === "" ? -1 : text.toLowerCase().indexOf(search.toLowerCase());
  if (at < 0) return <>{text}</>;
  const end = at + search.length;
  return (
    <>
      {text.slice(0, at)}
      <Mark color="yellow">{text.slice(at, end)}</Mark>
      {text.slice(end)}
    </>
  );
}
