/** What few pages need: locks where there are no Web Locks, and one conversation a tab. */
export { detectDuplicateTab } from "./client/duplicate-tab";
export { createLocalStorageLocks } from "./client/local-storage-locks";
