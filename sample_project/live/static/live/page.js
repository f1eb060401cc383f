/** What the pages with signals share. */

import { showConnection } from "home/connection";
import { signals } from "dtws_sio/signals";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");

showConnection(signals.socket, document.getElementById("state"));

/** What came while there was no connection is lost, so an article is fetched anew. */
signals.onresync = () => {
  const article = document.getElementById("article");
  if (article) signals.call("live.article", { pk: Number(article.dataset.pk) });
};

/** Let the eye find what is new. */
document.addEventListener("DOMContentAdded", ({ target }) => {
  if (!CALM.matches) target.animate([{ opacity: 0.2 }, { opacity: 1 }], 600);
});
