/** Everything in one file, for the full page: nothing of it is fetched later. */
import { asideStyles, asideView } from "./components/sources";
import { provide } from "./client/lazy-chunks";
import * as identity from "./state/identity";
import * as leases from "./client/local-storage-locks";
import * as talk from "./messages.chunk";
import ar from "./locales/ar.json";
import de from "./locales/de.json";

provide("talk", talk);
provide("leases", leases);
provide("identity", identity);
provide("aside", { asideView, asideStyles });
provide("words-de", { default: de });
provide("words-ar", { default: ar });
