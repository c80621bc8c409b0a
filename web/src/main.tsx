import "./app/styles";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { watchForTokens } from "./pages/invitation/token";

watchForTokens();
const root = document.getElementById("root");
if (root === null) throw new Error("The page has no element #root");
createRoot(root).render(<App />);
