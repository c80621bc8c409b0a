import { expect, test } from "vitest";
import { partsOf } from "./Linked";

const PAGE = "https://console.cloud.google.com/apis/library/sheets.googleapis.com";

test("only the page of an API in Google Cloud becomes a link", () => {
  expect(partsOf(`Switch it on at ${PAGE}?project=123 and try again`)).toEqual([
    "Switch it on at ",
    `${PAGE}?project=123`,
    " and try again",
  ]);
  for (const text of [
    "https://evil.example.com/apis/library/sheets.googleapis.com",
    "http://console.cloud.google.com/apis/library/sheets.googleapis.com",
    "https://console.cloud.google.com.evil.example/apis/library/sheets.googleapis.com",
    `${PAGE}.evil.example.com/`,
    `${PAGE}@evil.example.com`.replace("sheets.googleapis.com@", "x@"),
    "javascript:alert(1)",
  ])
    expect(partsOf(text)).toEqual([text]);
});
