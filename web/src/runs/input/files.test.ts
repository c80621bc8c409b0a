import { expect, it } from "vitest";
import { type FileField, limitsOf, problemsOf } from "./files";

const CV: FileField = {
  name: "cv",
  title: "Your CV",
  help: "",
  required: true,
  max: 2,
  max_bytes: 2_000_000,
  accept: [".PDF"],
};

function problem(files: { name: string; size: number }[], field = CV) {
  return problemsOf([field], { cv: files })[0];
}

it("says what a field accepts", () => {
  expect(limitsOf(CV)).toBe("At most 2 files of 2.0 MB each: .PDF");
  expect(limitsOf({ ...CV, max: 1, accept: [] })).toBe("At most 2.0 MB");
});

it("finds what the server would refuse, in its words", () => {
  const good = { name: "cv.pdf", size: 10 };
  expect(problem([good, good])).toBeUndefined();
  expect(problem([])).toEqual({ path: "body.cv", message: "Choose a file for “Your CV”." });
  expect(problem([], { ...CV, required: false })).toBeUndefined();
  expect(problem([good, good, good])?.message).toBe("Choose at most 2 files for “Your CV”.");
  expect(problem([{ name: "cv.exe", size: 10 }])?.message).toContain("“cv.exe” is another");
  expect(problem([{ name: "cv.pdf", size: 2_000_001 }])?.message).toBe(
    "“cv.pdf” is larger than 2.0 MB; choose another file.",
  );
});
