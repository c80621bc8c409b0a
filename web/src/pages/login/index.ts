/** The pages of somebody who is not logged in, or has no password of their own yet: one file of the build. */
export { LogInAgain } from "./LogInAgain";
export { Login } from "./Login";
export { SetUp, SetUpAgain } from "./SetUp";
