import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { nameProject } from "./name-project.ts";
import type { Requests } from "./requests.ts";

/** What is live in an org or one project of it, and the cursor that goes with it: every page, under the cursor of the first. */
export async function fetchSnapshot(
  requests: Requests,
  of: { readonly org?: string; readonly project?: string },
): Promise<EventSnapshotJson> {
  let page: EventSnapshotJson | undefined;
  let snapshot: EventSnapshotJson | undefined;
  do {
    const query = new URLSearchParams({
      ...nameProject(of),
      limit: "200",
      ...(page?.next_cursor == null ? {} : { cursor: page.next_cursor }),
    });
    page = await requests.json<EventSnapshotJson>("GET", `/v1/events/snapshot?${query}`);
    snapshot =
      snapshot === undefined ? page : { ...snapshot, projects: [...snapshot.projects, ...page.projects] };
  } while (page.next_cursor !== null);
  return { ...snapshot, next_cursor: null };
}
