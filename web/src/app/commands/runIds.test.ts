import { expect, it } from "vitest";
import { hasPart, noRunWith, runIdIn } from "./runIds";

const ID = "run_01K9ZQ3V7M8N2P4R6S8T0V2W4X";

it.each([
  [ID, ID],
  [ID.toLowerCase(), ID],
  [ID.slice(4), ID],
  [`  https://host/runs/${ID}?tab=log `, ID],
  ["run_01K9", "run_01K9"],
  ["01k9zq3v", "run_01K9ZQ3V"],
  ["0V2W4X", "0V2W4X"],
  ["run 0v2w4x", "0V2W4X"],
  ["#0V2W4X", "0V2W4X"],
  ["nightly backup", null],
  ["run_", null],
  ["01K9", null],
  [`${ID}0`, null],
  ["", null],
])("reads %j", (text, expected) => {
  expect(runIdIn(text)).toBe(expected);
});

it("compares the beginning and the end of an id", () => {
  expect(hasPart(ID, "run_01K9")).toBe(true);
  expect(hasPart(ID, "0V2W4X")).toBe(true);
  expect(hasPart(ID, "ZQ3V7M")).toBe(false);
});

it("says which id no run has", () => {
  expect(noRunWith(ID)).toContain(`no run with the id ${ID}`);
  expect(noRunWith("run_01K9")).toContain("begins with run_01K9");
  expect(noRunWith("0V2W4X")).toContain("ends with 0V2W4X");
});
