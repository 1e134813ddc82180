import { createHash } from "node:crypto";
import type { HttpReply } from "../../shared/http-server.ts";
import { type Content, Html, html } from "./html.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Nothing is loaded from anywhere; one style and one script run, known by their hashes. */
const POLICY = [
  "default-src 'none'",
  `style-src ${hashOf(STYLE)}`,
  `script-src ${hashOf(SCRIPT)}`,
  "img-src data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%23b7791f' d='M2 6l6-4 6 4v8H2z'/%3E%3C/svg%3E";

export interface PageParts {
  readonly title: string;
  /** Who looks; undefined: nobody has signed in. */
  readonly who?: { readonly org: string; readonly token: string; readonly signOut: boolean };
  /** Event feed that makes the page look again. */
  readonly feed?: string;
  readonly body: Content;
}

/** Sends a whole page, never cached: it shows what one token may see. */
export function sendPage(reply: HttpReply, status: number, page: PageParts): HttpReply {
  return reply
    .code(status)
    .headers({
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      // Not no-referrer: with it browsers send forms with `Origin: null`.
      "referrer-policy": "same-origin",
      "cross-origin-opener-policy": "same-origin",
      "cache-control": "no-store",
      vary: "accept, cookie",
    })
    .type("text/html; charset=utf-8")
    .send(renderPage(page).text);
}

const RELOAD_S = 30;

function renderPage({ title, who, feed, body }: PageParts): Html {
  // The one tag whose content is not text: what is in it is ours, and the policy knows its hash.
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="${new Html(ICON)}">
<style>${new Html(STYLE)}</style>
${feed !== undefined && html`<noscript><meta http-equiv="refresh" content="${RELOAD_S}"></noscript>`}
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header><a class="mark" href="/">Granary</a>
${who !== undefined && header(who, feed)}
</header>
<main id="content">${body}</main>
<footer><a href="/openapi.json">OpenAPI</a><span>Times are UTC; hover for the whole.</span></footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`;
}

function header(who: NonNullable<PageParts["who"]>, feed: string | undefined): Html {
  return html`<div class="who">
${feed !== undefined && html`<span id="live" role="status" data-feed="${feed}"><a href="">Reload</a></span>`}
<span>${who.token}</span>
${who.signOut && html`<form class="inline" method="post" action="/console/sign-out"><button>Sign out</button></form>`}
</div>`;
}
