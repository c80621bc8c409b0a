export default function Editor({ id }: { id: string }) {
  return <>{id}</>;
}
