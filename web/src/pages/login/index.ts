/** The pages for users who are not logged in, or have not chosen a password yet: one file of the build. */
export { LogInAgain } from "./LogInAgain";
export { Login } from "./Login";
export { SetUp, SetUpAgain } from "./SetUp";
