export { render } from "../../react/src/server";
