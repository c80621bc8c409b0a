// @vitest-environment jsdom
import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { STEPS } from "./TourCard";
import { endTour, showStep, useTour } from "./tour";

beforeEach(() => localStorage.clear());
afterEach(cleanup);

it("is offered until it is started or declined, for each user", () => {
  const one = renderHook(() => useTour("usr_1"));
  const other = renderHook(() => useTour("usr_2"));
  expect(one.result.current).toEqual({ step: null, isNew: true });
  act(() => showStep("usr_1", 2));
  expect(one.result.current).toEqual({ step: 2, isNew: false });
  act(() => endTour("usr_1"));
  expect(one.result.current).toEqual({ step: null, isNew: false });
  expect(other.result.current.isNew).toBe(true);
});

it("goes on at the same step after a reload, and can be started again", () => {
  showStep("usr_1", 4);
  expect(renderHook(() => useTour("usr_1")).result.current.step).toBe(4);
  endTour("usr_1");
  showStep("usr_1", 0);
  expect(renderHook(() => useTour("usr_1")).result.current.step).toBe(0);
});

it("works in a browser whose storage is full", () => {
  const full = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  const { result } = renderHook(() => useTour("usr_3"));
  act(() => showStep("usr_3", 1));
  expect(result.current.step).toBe(1);
  full.mockRestore();
  act(() => endTour("usr_3"));
  expect(result.current).toEqual({ step: null, isNew: false });
});

it("has six steps", () => {
  expect(STEPS).toHaveLength(6);
});
