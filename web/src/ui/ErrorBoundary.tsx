import { Component, type ReactNode } from "react";
import { Refused } from "./states";

/** Contain an error in one part of the page, so that the rest stays usable. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <Refused error={this.state.error} onRetry={() => this.setState({ error: null })} />;
  }
}
