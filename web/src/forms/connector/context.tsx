/** The connector whose node the form edits, for its fields that ask the service or make a credential for it. */
import { createContext, useContext } from "react";
import type { Connector } from "@/api/connectors";

export interface FormConnector {
  connector: Connector;
  /** The chosen operation. */
  operation: string;
}

const ConnectorContext = createContext<FormConnector | null>(null);
export const ConnectorProvider = ConnectorContext.Provider;

/** Return the form's connector; null in forms of other nodes. */
export function useFormConnector(): FormConnector | null {
  return useContext(ConnectorContext);
}
