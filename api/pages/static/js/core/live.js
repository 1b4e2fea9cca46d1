// Notices as they come. The cursor is the log's own sequence number, so a lost connection or a
// restarted service loses none.

import { Problem, pause } from "./api.js";
import { answering } from "./service.js";

/**
 * Calls `onLine(line)` for each new line in the session's scope, for as long as the page lives or
 * until `signal` is aborted.
 */
export async function watch(api, onLine, { after, signal } = {}) {
  let cursor = after;
  while (!signal?.aborted) {
    try {
      const answer = await api.get("/v1/notices", { after: cursor, wait: cursor === undefined ? 0 : 25 }, { tries: 1, signal });
      for (const line of answer.lines) tell(onLine, line);
      cursor = answer.next_after;
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof Problem && error.status === 401) throw error;
      await pause(1000);
      await answering();
    }
  }
}

/** What a listener cannot do with one line must not cost it the others. */
function tell(onLine, line) {
  try {
    onLine(line);
  } catch (error) {
    reportError(error);
  }
}
