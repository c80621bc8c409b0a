// @vitest-environment jsdom
import { render } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Elapsed } from "./Time";

const STARTED = "2026-11-28T12:00:00Z";

function shownAfter(ms: number, took: number | null, running: boolean) {
  vi.setSystemTime(Date.parse(STARTED) + ms);
  return render(<Elapsed startedAt={STARTED} ms={took} running={running} />).container.textContent;
}

it("counts whole seconds from zero while active", () => {
  vi.useFakeTimers();
  expect(shownAfter(300, null, true)).toBe("0 s");
  expect(shownAfter(2_900, null, true)).toBe("2.0 s");
  expect(shownAfter(9_000, 0, false)).toBe("<1 ms");
  vi.useRealTimers();
});
