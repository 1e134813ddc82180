import { html } from "./html.ts";
import type { PageParts } from "./page.ts";

/** @param problem why the last try did not work */
export function signInPage(problem?: string): PageParts {
  return {
    title: "Sign in - Granary",
    body: html`<div class="panel login">
<h1>Sign in</h1>
<p class="dim">With a token of this farm. These pages only show: nothing can be changed here, and nothing but what the token may read is shown.</p>
${problem !== undefined && html`<p class="notice bad" role="alert">${problem}</p>`}
<form method="post" action="/console/sign-in">
<input name="user" value="granary" autocomplete="username" hidden>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" spellcheck="false" required maxlength="500" placeholder="gr_...">
<button>Sign in</button>
</form>
<p class="dim">A token for looking: <code>granary token create --org ORG --scope read</code></p>
</div>`,
  };
}
