/** Everything in one file, for the full page: nothing of it is fetched later. */
import { asideView } from "./elements/sources";
import { provide } from "./lazy";
import * as reader from "./reader";
import ar from "./words/ar.json";
import de from "./words/de.json";

provide("reader", reader);
provide("aside", asideView);
provide("words-de", { default: de });
provide("words-ar", { default: ar });
