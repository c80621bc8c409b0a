// @vitest-environment jsdom
import { QueryClient } from "@tanstack/react-query";
import { expect, test } from "vitest";
import { ApiError } from "@/api/client";
import { toldBy } from "./Shell";

/** Return the states after each event of a query that fails with these errors and then succeeds. */
async function told(errors: unknown[]): Promise<boolean[]> {
  const client = new QueryClient({ defaultOptions: { queries: { retry: errors.length, retryDelay: 0 } } });
  const found: boolean[] = [];
  client.getQueryCache().subscribe((event) => {
    const away = toldBy(event);
    if (away !== undefined) found.push(away);
  });
  const left = [...errors];
  await client.fetchQuery({
    queryKey: ["a"],
    queryFn: () => (left.length > 0 ? Promise.reject(left.shift()) : Promise.resolve("here")),
  });
  client.setQueryData(["a"], "changed by the page");
  return found;
}

test("the server counts as away from the second failure until it responds", async () => {
  const gone = new ApiError(0, "gone");
  expect(await told([gone])).toEqual([false]);
  expect(await told([gone, gone, new ApiError(502, "a proxy alone")])).toEqual([true, true, false]);
});

test("a refusal by the server shows that it is reachable", async () => {
  const busy = new ApiError(503, "busy");
  expect(await told([busy, busy, busy])).toEqual([false]);
});
