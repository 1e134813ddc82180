import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { greet } from "./greet.js";

const PAGE = new URL("./public/index.html", import.meta.url);

/** Answers `/` with a page, `/hello?name=NAME` with a greeting, `/healthz` with ok. */
export function createApp() {
  return createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.pathname === "/healthz") return send(response, 200, "text/plain", "ok\n");
    if (url.pathname === "/hello") return send(response, 200, "text/plain", `${greet(url.searchParams.get("name"))}\n`);
    if (url.pathname === "/") return send(response, 200, "text/html", await readFile(PAGE));
    return send(response, 404, "text/plain", "not found\n");
  });
}

function send(response, status, type, body) {
  response.writeHead(status, { "content-type": `${type}; charset=utf-8` });
  response.end(body);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 8080);
  createApp().listen(port, () => console.log(`listening on http://localhost:${port}`));
}
