/** Everything in one file, for the full page: nothing of it is fetched later. */
import { asideStyles, asideView } from "./elements/sources";
import { provide } from "./lazy";
import * as identity from "./identity";
import * as leases from "./leases";
import * as talk from "./talk";
import ar from "./words/ar.json";
import de from "./words/de.json";

provide("talk", talk);
provide("leases", leases);
provide("identity", identity);
provide("aside", { asideView, asideStyles });
provide("words-de", { default: de });
provide("words-ar", { default: ar });
