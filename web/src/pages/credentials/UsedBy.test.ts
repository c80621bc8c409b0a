import { expect, test } from "vitest";
import type { CredentialUse } from "@/api/credentials";
import { activeUsers, countInWords } from "./UsedBy";

function used(by: [type: string, status: string | null][], count = by.length): CredentialUse {
  const used_by = by.map(([type, status], at) => ({ type, status, id: `id_${at}`, name: `Name ${at}` }));
  return { used_by, used_by_count: count } as CredentialUse;
}

test("the users of a credential are counted", () => {
  expect(countInWords(used([]))).toBe("nothing");
  expect(countInWords(used([["flow", "active"]]))).toBe("1 flow");
  expect(countInWords(used([["agent", null]]))).toBe("1 agent");
  const both: [string, string | null][] = [
    ["flow", "draft"],
    ["flow", "active"],
    ["agent", null],
  ];
  expect(countInWords(used(both))).toBe("2 flows and 1 agent");
  expect(countInWords(used([...both, ["credential", null]]))).toBe("2 flows, 1 agent and 1 credential");
  expect(countInWords(used(both, 25))).toBe("25 flows and agents");
});

test("only active flows prevent deletion", () => {
  const users = activeUsers(
    used([
      ["flow", "draft"],
      ["flow", "active"],
      ["agent", null],
    ]),
  );
  expect(users.map((user) => user.id)).toEqual(["id_1"]);
});
