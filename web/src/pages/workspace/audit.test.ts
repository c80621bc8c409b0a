import { expect, test } from "vitest";
import { actionInWords, changesInWords } from "./audit";

test("an action is told as somebody would say it", () => {
  expect(actionInWords("flow.activated")).toBe("Activated a flow");
  expect(actionInWords("agent.deleted")).toBe("Deleted an agent");
  expect(actionInWords("token.created")).toBe("Created an API token");
  expect(actionInWords("session.opened")).toBe("Logged in");
});

test("a change is told with what was before and after, or by its field alone where the values are secret", () => {
  const changes = { status: { before: "draft", after: "active" }, data: { changed: true }, nodes_added: 2 };
  expect(changesInWords(changes)).toEqual(["status: “draft” → “active”", "data changed", "nodes added: 2"]);
});
