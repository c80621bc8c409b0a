/** Labels of a flow's status; the API calls an inactive flow a draft. */
export const FLOW_STATUS: Record<string, string> = {
  draft: "Inactive",
  active: "Active",
  archived: "Archived",
};
