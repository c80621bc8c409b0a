// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CALM, LIVE } from "@/api/queries";
import { pollOf } from "./moving";

const NOW = "2030-05-01T12:00:00.000Z";

beforeEach(() => void vi.useFakeTimers({ now: new Date(NOW) }));
afterEach(() => void vi.useRealTimers());

test("a run is polled often while active, seldom while waiting, and not after it ended", () => {
  expect(pollOf(undefined)).toBe(LIVE);
  expect(pollOf({ status: "running" })).toBe(LIVE);
  expect(pollOf({ status: "pending", waiting: "an answer" })).toBe(CALM / 2);
  expect(pollOf({ status: "success", finished_at: NOW })).toBe(false);
  expect(pollOf({ status: "failed", finished_at: NOW, cancelled: false })).toBe(false);
});

test("a cancelled run is polled for a while, because its active node reports later", () => {
  const run = { status: "failed", cancelled: true, finished_at: NOW };
  expect(pollOf(run)).toBe(CALM / 2);
  vi.advanceTimersByTime(60_000);
  expect(pollOf(run)).toBe(false);
});
